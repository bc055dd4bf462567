/**
 * What the pages of runs and their server tell each other. A run's name is its path below the studio's folder, without
 * `attune-runs/` at its beginning where that is clear; NAME in an address is encoded as one part.
 *
 *     GET    /api/runs                        RunList
 *     GET    /api/runs/NAME                   RunPage
 *     DELETE /api/runs/NAME                   204
 *     PUT    /api/runs/NAME/tags              TagsBody -> 204
 *     POST   /api/runs/NAME/stop              204; the process writes a checkpoint and ends
 *     POST   /api/runs/NAME/resume            Resumed; a process of its own goes on, as a job
 *     GET    /api/runs/NAME/samples           RunSamples
 *     GET    /api/runs/NAME/events?from=0     EventPage
 *     GET    /api/runs/NAME/files             RunFile[]
 *     GET    /api/runs/NAME/file?path=        the file, to be saved
 *     GET    /api/runs/NAME/curves.csv        every logged number
 *     GET    /api/runs/NAME/report.html       the page of the run as one file, to be saved
 *     POST   /api/runs/NAME/tokens            TokensBody -> TokenView
 *     GET    /api/run-curves?run=&metric=     CurvesQuery -> Curve[]
 *     GET    /api/run-comparison?run=&run=    RunComparison
 *
 * Live: topic `runs` with RunChange; topic `run/NAME` with RunPulse each time its log has grown.
 */

export type RunState = 'running' | 'done' | 'stopped' | 'broken off' | 'failed'

export type Figure = { metric: string; label: string; value: number; step: number }

export type RunRow = {
  name: string
  /** attune, or what wrote it: tensorboard, trl */
  kind: string
  method: string
  /** The model that it began from, as it was named. */
  model: string
  state: RunState
  /** Why it ended, where the state does not say it: patience, converged, kl-budget; of a failed one its message. */
  reason?: string
  steps: number
  totalSteps: number
  tags: string[]
  /** When it was begun, and when its log last grew. */
  created: string
  alive: string
  /** The best value of the metric that tells most, and the last one. */
  best?: Figure
  last?: Figure
  /** The same metric over the run, thinned. */
  spark: number[]
  /** Its log is being read; what depends on it comes later. */
  reading?: boolean
}

export type RunList = { runs: RunRow[]; folder: string }

/** Rows that are new or changed, and names that are gone. */
export type RunChange = { changed: RunRow[]; gone: string[] }

export type RunPulse = {
  row: RunRow
  /** The numbers of the last logged step. */
  latest: Record<string, number>
  /** Events in the log, but for steps and evaluations. */
  events: number
}

export type MetricInfo = {
  /** Without `eval_`. */
  name: string
  label: string
  /** How it is read; empty for metrics that the page does not know. */
  note: string
  group: 'main' | 'more' | 'progress' | 'time'
  trained: boolean
  heldOut: boolean
}

export type MetricFigures = {
  name: string
  label: string
  first?: number
  last?: number
  least?: number
  most?: number
  heldFirst?: number
  heldLast?: number
}

export type RunWarning = { code: string; message: string; count?: number }

/** `name`: as a flag. */
export type Setting = { key: string; name: string; value: string; default: string; isDefault: boolean }

export type RunPage = {
  row: RunRow
  /** The folder, below that of the studio. */
  folder: string
  headline?: string
  note?: string
  metrics: MetricInfo[]
  figures: MetricFigures[]
  warnings: RunWarning[]
  settings: Setting[]
  /** Rows, parameters, machine, versions. */
  facts: [name: string, value: string][]
  checkpoints: { step: number; path: string }[]
  resumes: { at: string; step: number }[]
  /** Seconds of each phase over the run; empty where it was not measured. */
  phases: { name: string; seconds: number }[]
  /** Axes other than steps that are known. */
  axes: Axis[]
  command: string
  next: string[]
  /** Lines of the log that are no events. */
  damaged: number
  can: { stop: boolean; resume: boolean; delete: boolean }
  events: number
}

export type Axis = 'step' | 'tokens' | 'time' | 'flops'

export type CurvesQuery = {
  run: string[]
  metric: string
  x: Axis
  /** The part of the x axis; all of it by default. */
  from?: number
  to?: number
  /** How many points fit on the screen. */
  points: number
  /** The number of logged values after which a value counts half; 0 does not smooth. */
  smooth: number
}

export type Curve = {
  run: string
  part: 'trained' | 'held out'
  /** How many values there are in the part of the axis. */
  of: number
  x: number[]
  y: number[]
  /** The smoothed curve at points of its own. */
  smooth?: { x: number[]; y: number[] }
}

export type SampleRow = { step: number; completion: string; reward?: number }
export type RunSamples = {
  /** Why there are none. */
  none?: string
  /** Steps at which something was written, in order. */
  steps: number[]
  prompts: { prompt: string; rows: SampleRow[] }[]
}

export type EventPage = { total: number; from: number; events: { event: string; [field: string]: unknown }[] }

export type RunFile = { path: string; bytes: number; changed: string }

/** `waits`: other work ends first. */
export type Resumed = { waits: boolean }

export type TagsBody = { tags: string[] }

export type TokensBody = { prompt: string; completion: string; view: 'reference' | 'reward' }
export type TokenView = {
  /** What a positive number means, and a negative one. */
  meaning: [positive: string, negative: string]
  unit: string
  total: number
  tokens: { text: string; value: number }[]
}

export type RunComparison = {
  runs: RunRow[]
  metrics: MetricInfo[]
  axes: Axis[]
  settings: { key: string; name: string; values: (string | null)[] }[]
  /** What all runs can be compared by: evaluations of the results, and means of the last training steps. */
  figures: { name: string; label: string; values: (number | null)[] }[]
  /** Why the losses cannot be compared, and what each run changed. */
  apart?: { why: string; changes: string[] }
  /** Why numbers of held-out rows may differ beside the models. */
  note?: string
}
