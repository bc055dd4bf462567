/** What a labelling template of Label Studio asks: which keys of a task hold the prompt and the responses, and what is said of them. */

/** As the studio's: order responses, which of two, marks on scales, one of many, good or bad, write the better answer. */
export type TemplateMode = 'rank' | 'pair' | 'rate' | 'best' | 'good' | 'edit'

/** A tag that shows a key of the task's data. */
export type Shown = { name: string; key: string; className?: string }

/** Something else that is asked, whose answers are kept beside the vote. */
export type Question = { name: string; to: string; line: number } & (
  | { kind: 'choices'; options: string[]; multiple: boolean }
  | { kind: 'rating'; max: number }
  | { kind: 'text' }
)

export type Template = {
  mode: TemplateMode
  title?: string
  /** Headers and fixed texts, in their order. */
  guidelines: string[]
  prompts: Shown[]
  /** Responses in one key: a list of {"id", "title", "body"}, whose parts may be shown by classes of their own. */
  list?: Shown & {
    title?: string
    /** Keys that tags inside of the list show, which a server wants in the data of every task. */
    parts: string[]
    classes: { item?: string; title?: string; body?: string }
  }
  /** Responses in keys of their own. */
  responses: Shown[]
  rank?: { name: string; bucket?: string }
  /** `strength` asks how clearly, from 1 to `steps`. */
  pair?: { name: string; strength?: { name: string; steps: number } }
  /** One option for each response, in their order. */
  best?: { name: string; options: string[] }
  good?: { name: string; good: string; bad: string }
  /** A scale asks one rating of each response, by the names of its controls. */
  scales: { name: string; max: number; controls: string[] }[]
  edit?: { name: string }
  note?: { name: string }
  bothBad?: { name: string; option: string }
  questions: Question[]
  /** Harmless; see css.ts. */
  css: string
  /** What has no effect here, such as a style that was left out. */
  leftOut: string[]
}
