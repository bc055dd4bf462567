/**
 * The playground: what the page and the server tell each other. All routes are below /api and for the owner.
 *
 *   GET    /play/models       ModelChoices: what lies below the root
 *   GET    /play/open         OpenModel[]
 *   POST   /play/open         {model, keyEnv?} -> OpenModel; it loads in the background
 *   POST   /play/close        {model} -> 204
 *   POST   /play/turn         TurnRequest -> TurnEvents, as server-sent events
 *   POST   /play/stop         {turn, lane?} -> 204: of one lane, or of all
 *   POST   /play/score        ScoreRequest -> AnswerScore[]
 *   POST   /play/preference   NewPreference -> SavedPreference: a task and a vote of the project `playground`
 *   GET    /play/prompts      SavedPrompt[]
 *   POST   /play/prompts      NewPrompt -> SavedPrompt
 *   DELETE /play/prompts/:id  -> 204
 *
 * Live topic: play/models (one of the open models has another state).
 */
import type { Message } from '../../data/messages.ts'

/** Models that can be open at once. */
export const maxModels = 4

export type ModelKind = 'run' | 'checkpoint' | 'model' | 'adapter' | 'reward'

/** A model below the root. */
export type ModelChoice = {
  /** What opens it: a path from the root. */
  model: string
  kind: ModelKind
  /** Of runs and checkpoints: how the run was trained. */
  method?: string
  /** Of checkpoints. */
  step?: number
  /** Of runs and checkpoints: the run. */
  run?: string
}

export type ModelChoices = {
  models: ModelChoice[]
  /** There were more folders than are looked into. */
  cut: boolean
}

/** An open model, or one that was. What is closed is opened again by the next turn. */
export type OpenModel = {
  model: string
  /** `server`: at an address that the owner typed. */
  kind: 'local' | 'server'
  state: 'loading' | 'ready' | 'failed' | 'closed'
  /** While it loads: how far. */
  progress?: { phase: 'download' | 'load'; done: number; total: number }
  error?: string
  /** Of a local model: whether it has a chat template. Without one it continues texts only. */
  chat?: boolean
}

export type Sampling = {
  temperature: number
  topP: number
  /** 0: all tokens. */
  topK: number
  minP: number
  repetitionPenalty: number
  maxNewTokens: number
  seed: number
}

/** One answer that is asked for. */
export type LaneRequest = {
  /** Its place on the screen, from 0. */
  lane: number
  model: string
  /** Chat: the conversation, whose last message is the user's. */
  messages?: Message[]
  /** Without chat template: the text to continue. */
  prompt?: string
  /** How the answer must begin; it goes on from there. */
  prefix?: string
}

export type TurnRequest = {
  /** An id that the page makes, by which it can be stopped. */
  turn: string
  lanes: LaneRequest[]
  sampling: Sampling
}

/** A token of an answer. */
export type AnswerToken = {
  /** Its place in the new text, in UTF-16 units. */
  at: number
  text: string
  logp: number
  /** The likeliest tokens at its place, which need not include it. */
  tops: { text: string; logp: number }[]
}

/** What is new of one lane. The last event of a lane has `end` or `error`. */
export type TurnEvent = {
  lane: number
  text?: string
  tokens?: AnswerToken[]
  end?: { finish: 'stop' | 'length' | 'stopped'; promptTokens?: number; completionTokens?: number }
  error?: string
}

export type Scorer = {
  kind: 'reward' | 'judge'
  /** A model below the root, any path or hub id, or for a judge the address of a server: URL or URL#NAME. */
  model: string
}

/** A conversation or a text, and answers to it. */
export type ScoreRequest = { scorer: Scorer; prompt: string | Message[]; answers: string[] }

/** The reward with its deviation where the model tells one, or the grade from 1 to 10; or why there is none. */
export type AnswerScore = { value?: number; deviation?: number; reason?: string; error?: string }

export type NewPreference = {
  requestId: string
  prompt: string | Message[]
  /** In the order of the lanes. */
  answers: { text: string; model: string }[]
  /** The numbers of the answers in the order in which they were shown. */
  shown: number[]
  /** The number of the better answer, or what was said instead. */
  better: number | 'tie' | 'bad'
  /** Seconds from the last answer's end to the choice. */
  seconds: number
}

export type SavedPreference = { project: number; task: number }

export type NewPrompt = { prompt: string; system?: string; name?: string }
export type SavedPrompt = NewPrompt & { id: string; created_at: string }
