/** Events of a run beside the steps, evaluations and checkpoints of its loop, as its log and `--json` hold them. */
import type { FileHash } from '../util/sha256.node.ts'

/** Facts that belong into run.json, and where training begins: `step` is 0, or that of the resumed checkpoint. */
export type StartEvent = {
  event: 'start'
  step: number
  total_steps: number
  rows: number
  eval_rows?: number
  /** Of the rows those that are no conversations, as messages and rows read with --chat are. */
  plain_rows?: number
  /** Rows of the files that are not used, by reason. */
  dropped?: Record<string, number>
  /** The same of held-out rows, where there are any. */
  eval_dropped?: Record<string, number>
  /** The loss that is minimised, where it depends on the rows: `plackett-luce`, `sigmoid:0.8,sft:0.2`. */
  objective?: string
  parameters: number
  trainable: number
  /** The adapter that is trained; r and alpha of the modules that have none of their own. */
  adapter?: { r: number; alpha: number; dropout: number; modules: string[] }
  /** The memory plan, and the engine: provider, threads, version. */
  plan: string
  engine: { provider: string; threads: number; version: string }
  /** Files that the results depend on. */
  model_files: FileHash[]
  data_files: FileHash[]
}

export type SampleEvent = { event: 'sample'; step: number; prompt: string; completion: string; reward?: number | null }
export type WarningEvent = { event: 'warning'; code: string; message: string; count?: number }
/** What 8-bit products gain, or would gain, on this machine: how many times as fast as fp32. It is shown, not logged. */
export type ComputeEvent = { event: 'compute'; compute: string; speed: number; message: string }
/** Progress of work other than training steps. It is shown, not logged. */
export type ProgressEvent = {
  event: 'progress'
  phase: 'load' | 'reference' | 'tokenize' | 'generate' | 'score' | 'reward' | 'download' | 'upload'
  /** The model that it is about, where that is worth a word. */
  of?: string
  done: number
  total: number
  /** Where the part of `of` begins, if `done` and `total` count those of several models. */
  from?: number
}
/** The end of a run, also after an abort: `output` is the folder of the model or adapter, and the last metrics follow. */
export type EndEvent = { [metric: string]: number | string | undefined } & {
  event: 'end'
  steps: number
  output: string
  stopped: 'done' | 'interrupted' | 'patience' | 'converged' | 'kl-budget'
  /** Where held-out rows decide: the step whose weights the result has, the best step, and `best_metric` there and at last. */
  result_step?: number
  best_step?: number
  best_metric?: string
  best_value?: number
  last_value?: number
  /** The page of the repository that the result was uploaded to. */
  hub?: string
}
