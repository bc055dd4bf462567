/** The rows that a program may give instead of files. They are read and checked as the rows of a jsonl file are. */
import type { Message } from '../data/messages.ts'

/** Plain text, the messages of a conversation, or token ids. */
export type RowText = string | Message[] | number[]

/** A row with further columns, which are ignored, or which a reward or a helper reads. */
type WithColumns<Row> = Row | (Row & Readonly<Record<string, unknown>>)

/** A file (jsonl, json, csv, tsv, parquet, a hub data set), several of them, or rows. */
export type Data<Row> = string | string[] | Iterable<WithColumns<Row>> | AsyncIterable<WithColumns<Row>>

/** Two responses to a prompt, of which one is better. */
export type PreferenceRow = {
  /** May be left out where `chosen` and `rejected` both begin with it. */
  prompt?: RowText
  /** The better response. */
  chosen: RowText
  /** The other one. */
  rejected: RowText
  /** By how much the chosen response is better, for `reward`. */
  margin?: number | null
  /** P(the chosen response is better), 0 to 1. */
  prob?: number | null
}

/** Several responses to a prompt, ranked, or with one that is the best. */
export type RankingRow = {
  /** What the responses answer. */
  prompt: RowText
  /** Two or more. */
  responses: RowText[]
} & (
  | {
      /** 1 is best, equal ranks tie, null is unranked. */
      ranks: (number | null)[]
    }
  | {
      /** The number of the best response, counted from 0. */
      best: number
    }
)

/** A text, a conversation, or a prompt with its completion. */
export type SftRow =
  | {
      /** The whole text, or its token ids. */
      text: string | number[]
    }
  | {
      /** A conversation: every token is learnt, or with `assistantOnlyLoss` those of the assistant. */
      messages: Message[]
    }
  | {
      /** What stands before the completion, which alone is learnt (`completionOnlyLoss: false`: all tokens). */
      prompt: RowText
      /** What the model should write. */
      completion: RowText
    }

/** A completion that is good or bad. */
export type KtoRow = {
  /** What the completion answers. */
  prompt: RowText
  /** The completion that is judged. */
  completion: RowText
  /** true is good. Words and numbers need the setting `label` where they do not say so themselves. */
  label: boolean | string | number
}

/** A prompt, for methods that make the completions themselves. Rewards see the other columns. */
export type PromptRow = {
  /** What the model completes. */
  prompt: RowText
}

/** A prompt of a file, whose columns are not known to the compiler. */
export type UnknownPromptRow = PromptRow & Readonly<Record<string, unknown>>
