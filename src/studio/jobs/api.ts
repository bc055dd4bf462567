/**
 * Starting work: what the page and the server tell each other. All routes are below /api and for the owner only.
 *
 *   GET    /methods                    MethodBrief[]
 *   GET    /methods/:name              MethodForm
 *   GET    /training-choices           Choices: models and files to pick from
 *   POST   /training-labels            LabelsRequest -> LabelFiles: the labels of a project as files to train on
 *   POST   /jobs/check                 Training -> Checked
 *   POST   /jobs/estimate              Training -> Estimate (makes a few steps; takes a while)
 *   GET    /jobs                       Job[], the newest first
 *   POST   /jobs                       NewJob -> Job
 *   GET    /jobs/:id                   JobDetails
 *   POST   /jobs/:id/start             does not wait for its turn -> Job
 *   POST   /jobs/:id/stop              lets it write a checkpoint and end; the second time it is ended at once -> Job
 *   POST   /jobs/:id/resume            goes on from the last checkpoint -> Job, a new one
 *   DELETE /jobs/:id                   forgets an ended one; what it made stays -> 204
 *   GET    /retests                    ?project= -> Retest[]
 *   POST   /retests                    NewRetest -> Retest
 *   GET    /retests/:id                Retest
 *   DELETE /retests/:id                -> 204
 *
 * Live topics: jobs (the list changed), job/ID with JobPulse, retests.
 */

// ---- forms -------------------------------------------------------------------------------------------------------------

export type FieldKind = 'text' | 'number' | 'boolean' | 'choice' | 'list' | 'record'

/** A setting of a method: from its schema, which the command line has its flags from, too. */
export type FormField = {
  key: string
  /** --learning-rate */
  flag: string
  kind: FieldKind
  /** The kind of the values of a list or a record; of others, `kind` again. */
  of: FieldKind
  choices: string[]
  required: boolean
  /** Its default; text for one that depends on others. */
  fallback?: string | number | boolean | (string | number)[]
  /** What stands for its value in the help: FILE, MODEL, N. */
  value: string
  description: string
  group: string
  whole?: boolean
  least?: number
  most?: number
  /** One of the few that matter first. */
  first: boolean
}

export type MethodBrief = { name: string; group: string; brief: string; summary: string }
export type MethodForm = MethodBrief & { fields: FormField[] }

/** Settings by key. Texts are converted as the command line converts them. */
export type Settings = Record<string, unknown>

export type Training = { method: string; settings: Settings }

export type Problem = { key: string; message: string }

export type Checked = {
  /** As it can be typed in the folder of the studio. */
  command: string
  problems: Problem[]
  /** The folder of the run, below that of the studio. */
  output: string
}

export type Estimate = { time: string; memory: string; steps: number } | { failed: string }

/** To pick from, or to type over. `redis`: of the studio's workers, without a password. */
export type Choices = { models: string[]; rewardModels: string[]; files: string[]; redis: string[] }

// ---- labels to train on ------------------------------------------------------------------------------------------------

export type Consensus = 'adjudicated' | 'majority' | 'bradley-terry'

/** `heldOut`: the share of prompts that are kept apart to measure on, 0 to 0.9. `write` false: only says what the files would be. */
export type LabelsRequest = { project: number; method: string; consensus: Consensus; heldOut: number; write?: boolean }
/** `undecided`: tasks that are left out because no response is better than another one: ties. */
export type LabelFiles = {
  data: string
  rows: number
  evalData?: string
  evalRows: number
  prompts: number
  undecided: number
}

// ---- jobs --------------------------------------------------------------------------------------------------------------

export type JobKind = 'train' | 'generate' | 'score' | 'judge'

/** `ended`: it ended while the studio was closed, and nobody knows how. */
export type JobState = 'waiting' | 'running' | 'stopping' | 'done' | 'stopped' | 'failed' | 'ended'

export type Job = {
  id: number
  kind: JobKind
  title: string
  /** Of a training. */
  method?: string
  state: JobState
  command: string
  /** The run folder that it writes, below that of the studio. */
  output?: string
  /** The name of that run in the address of its page. */
  run?: string
  project?: number
  created: string
  started?: string
  ended?: string
  exitCode?: number
  progress?: JobProgress
  /** What went wrong, in one line; also of what came after the command itself. */
  problem?: string
  can: { start: boolean; stop: boolean; resume: boolean; forget: boolean }
}

export type JobProgress = { done: number; total: number; what: string }

export type JobDetails = Job & {
  /** The last events that it printed, each cut to a readable length. */
  events: Record<string, unknown>[]
  /** The end of what it said beside them. */
  stderr: string
}

export type JobPulse = Job & { latest?: Record<string, unknown> }

/** How answers are written. */
export type Sampling = { maxNewTokens: number; temperature: number; topP: number; seed: number; chat: boolean }

export type NewJob =
  | ({ kind: 'train'; project?: number } & Training)
  | { kind: 'resume'; run: string }
  /** Answers of a model to the prompts of a file, as tasks of a project: its own number, or the name of a new one. */
  | {
      kind: 'generate'
      model: string
      data: string
      samples: number
      maxSamples?: number
      project: number | string
      sampling?: Partial<Sampling>
    }
  /** Rewards of a reward model for the responses of a project's tasks. */
  | { kind: 'score'; model: string; project: number }
  /** Verdicts of a judge on the pairs of a project, shown as predictions. */
  | { kind: 'judge'; model: string; project: number }

// ---- blind re-test -----------------------------------------------------------------------------------------------------

/** Answers of the base and of the trained model to prompts that were held out, to be compared blind. */
export type NewRetest = {
  /** The run that was trained, as its page names it. */
  run: string
  /** Prompts, at most. */
  prompts: number
  sampling?: Partial<Sampling>
}

export type Retest = {
  id: number
  run: string
  base: string
  /** The project whose labels the run was trained on, where that is known. */
  source?: number
  state: 'writing' | 'labelling' | 'done' | 'failed'
  jobs: Job[]
  /** The blind project, once its tasks are there. */
  project?: number
  created: string
  problem?: string
  result?: RetestResult
}

export type RetestResult = {
  tasks: number
  labelled: number
  wins: number
  ties: number
  losses: number
  /** Of the trained model, 0 to 1, a tie being half; its interval of 95 %. */
  winRate?: number
  low?: number
  high?: number
  /** What it means, in one sentence. */
  meaning: string
}
