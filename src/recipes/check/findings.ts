/** What `attune check` finds in the rows of a run: each with a code, a count, the first row, and what to do. */
import { dropReasons } from '../../data/dropReasons.ts'
import type { Where } from '../../util/fault.ts'
import type { CheckedMethod } from './rowSigns.ts'

/** `ruins`: the run would be useless or would not start. `warns`: some rows are lost or odd. */
export type Severity = 'ruins' | 'warns'

export type Finding = {
  code: string
  severity: Severity
  /** Rows, and of how many. */
  count: number
  of: number
  first?: Where
  message: string
  advice: string
}

/** How often each code was seen, and where first. */
export type Tally = Map<string, { count: number; first?: Where }>

export const note = (tally: Tally, code: string, where?: Where): void => {
  const seen = tally.get(code)
  if (seen) seen.count++
  else tally.set(code, { count: 1, first: where })
}

/** What the judgement of a code depends on. */
export type Facts = {
  method: CheckedMethod
  /** Training rows that were read. */
  rows: number
  /** Records of the files, with those that gave no row. */
  records: number
  /** Those that gave an example. */
  used: number
  evalRows: number
  /** Whether the model has an id that ends a completion. */
  hasStop: boolean
  /** No row has more than two responses. */
  pairs: boolean
}

type Rule = {
  message: string
  advice: string
  /** Of how many rows the count is; by default of all rows. */
  of?: keyof Pick<Facts, 'rows' | 'records' | 'used' | 'evalRows'>
  /** Undefined where it is no finding. */
  severity(count: number, facts: Facts): Severity | undefined
}

const always = (): Severity => 'ruins'
const odd = (): Severity => 'warns'
const ifAll = (count: number, { rows }: Facts): Severity => (count >= rows ? 'ruins' : 'warns')
const ifAllUsed = (count: number, { used }: Facts): Severity => (count >= used ? 'ruins' : 'warns')
const ifMost = (count: number, { rows }: Facts): Severity => (count > rows / 2 ? 'ruins' : 'warns')
/** Each row that is counted contradicts another one. */
const ifMostContradict = (count: number, { rows }: Facts): Severity => (2 * count > rows / 2 ? 'ruins' : 'warns')
const predicts = ({ method }: Facts) => method !== 'grpo' && method !== 'reward'

/** By code, in the order in which they are told. */
const rules: Record<string, Rule> = {
  'no-rows-left': {
    message: 'no row is left to train on',
    advice: 'look at the reasons below, and raise --max-length where rows are cut',
    severity: always,
  },
  'no-held-out-left': {
    message: 'no held-out row is left to evaluate on',
    advice: 'look at the rows of --eval-data and the length limits',
    of: 'evalRows',
    severity: always,
  },
  'no-stop-token': {
    message: 'the model names no end-of-sequence token, so generation never stops by itself',
    advice: 'set eos_token in tokenizer_config.json and eos_token_id in generation_config.json',
    severity: always,
  },
  'no-stop': {
    message: 'rows whose stop token is not learnt: generation ends at a token that these rows never teach',
    advice:
      'end the turn in the chat template, inside {% generation %} where it has it, with the eos_token that generation_config.json names',
    of: 'used',
    severity: (count, facts) => {
      if (!facts.hasStop || facts.method === 'grpo') return undefined
      return predicts(facts) ? ifAllUsed(count, facts) : 'warns'
    },
  },
  'bos-twice': {
    message: 'rows that begin with two BOS tokens',
    advice: 'take the BOS out of the text or the chat template, or set add_bos_token to false',
    of: 'used',
    severity: always,
  },
  'bos-before-completion': {
    message: 'rows whose completion begins with a BOS token in the middle of the sequence',
    advice: 'take the BOS out of the completions',
    of: 'used',
    severity: ifAllUsed,
  },
  'cut-stop': {
    message: 'rows whose end is cut off, so that their stop token is not learnt',
    advice: 'raise --max-length, or leave long rows out',
    of: 'used',
    severity: (count, facts) => (predicts(facts) ? ifAllUsed(count, facts) : 'warns'),
  },
  truncated: {
    message: 'rows cut to the length limits',
    advice: 'raise --max-length or --max-prompt-length if the model and the memory allow it',
    of: 'used',
    severity: odd,
  },
  'equal-replies': {
    message: 'rows whose responses are the same tokens but have different ranks: nothing can be learnt from them',
    advice: 'check the columns of chosen and rejected (--column), and whether --max-length cuts where they differ',
    of: 'used',
    severity: (count, { used, pairs }) => (count >= used || (pairs && count > used / 2) ? 'ruins' : 'warns'),
  },
  'prompt-not-prefix': {
    message: 'rows whose tokenised prompt is not the beginning of prompt and completion together',
    advice:
      'end prompts without a space and begin completions with it; in a chat template let add_generation_prompt write what the turn begins with',
    of: 'used',
    severity: ifAllUsed,
  },
  'foreign-markup': {
    message: "rows with the markup of another model's chat template, which this tokenizer reads as plain letters",
    advice:
      'give the conversations as messages, so that the model’s own template is used, or use the model that the rows were made for',
    severity: ifMost,
  },
  'special-token-in-text': {
    message: 'rows whose text holds a special token of this model',
    advice: 'take it out: training adds what is needed; inside a text it may end a completion early',
    severity: odd,
  },
  'plain-text-for-chat-model': {
    message: 'prompts of plain text for a model with a chat template, which they do not pass through',
    advice:
      'add --chat, which reads prompts and answers as turns of a chat, if the model is to be used as a chat model',
    severity: odd,
  },
  'no-assistant-turn': {
    message: 'conversations in which the assistant says nothing',
    advice: 'check the roles: assistant (gpt in ShareGPT) is who is learnt from',
    severity: ifAll,
  },
  'ends-without-answer': {
    message: 'conversations that do not end with the assistant: their last question has no answer',
    advice: 'cut them behind the last answer, or use --assistant-only-loss',
    severity: odd,
  },
  'prompt-has-answer': {
    message: 'prompts that already end with an answer of the assistant',
    advice: 'give the turns before it as the prompt',
    severity: ifAll,
  },
  'empty-completion': {
    message: 'rows with a completion of nothing or of white space',
    advice: 'check the columns (--column), or leave these rows out',
    severity: ifMost,
  },
  'empty-prompt-text': {
    message: 'rows whose prompt is empty',
    advice: 'check the column of the prompt: --column prompt=NAME',
    severity: ifAll,
  },
  'completion-repeats-prompt': {
    message: 'completions that begin with the whole prompt, so that it is read twice',
    advice: 'give the completion without the prompt',
    severity: ifMost,
  },
  'better-is-empty': {
    message: 'rows whose better response says nothing while a worse one does: the columns may be swapped',
    advice: 'look at a row; --column chosen=... rejected=... names the columns',
    severity: ifMost,
  },
  'ratings-against-order': {
    message: 'rows whose ratings say the opposite of their order: the columns may be swapped',
    advice: 'look at a row; --column chosen=... rejected=... names the columns',
    severity: ifMost,
  },
  'pair-both-ways': {
    message: 'pairs that stand in the file both ways round: each says the opposite of the other',
    advice: 'keep one of the two',
    severity: ifMostContradict,
  },
  'label-both-ways': {
    message: 'completions that are labelled good in one row and bad in another',
    advice: 'decide on one label, or leave both rows out',
    severity: ifMostContradict,
  },
  'good-is-empty': {
    message: 'rows labelled good whose completion says nothing: the labels may be reversed',
    advice: 'look at a row; 1 and true mean good',
    severity: ifMost,
  },
  'all-good': {
    message: 'every completion is labelled good: there is nothing to compare with',
    advice: 'add bad completions, check the column of the labels, or use sft',
    of: 'used',
    severity: always,
  },
  'all-bad': {
    message: 'every completion is labelled bad: there is nothing to learn',
    advice: 'add good completions, or check the column of the labels (1 and true mean good)',
    of: 'used',
    severity: always,
  },
  'one-completion': {
    message: 'all rows have the same completion',
    advice: 'check the column of the completion: --column completion=NAME',
    severity: always,
  },
  'one-prompt': {
    message: 'all rows have the same prompt',
    advice: 'check the column of the prompt: --column prompt=NAME',
    severity: odd,
  },
  'eval-in-train': {
    message: 'held-out rows that are training rows too: what is measured on them is memory',
    advice: 'take them out of --data, or use --eval-split after removing duplicates',
    of: 'evalRows',
    severity: (count, { evalRows }) => (count >= evalRows ? 'ruins' : 'warns'),
  },
  duplicates: {
    message: 'rows that stand in --data before: they count twice',
    advice: 'remove them unless that is meant',
    severity: odd,
  },
  'unknown-tokens': {
    message: 'rows of which more than 5 % of the tokens are unknown to the tokenizer',
    advice: 'use a model whose tokenizer knows this language or script',
    of: 'used',
    severity: ifMost,
  },
  'broken-encoding': {
    message: 'rows with letters that were decoded wrongly (Ã©, â€™, �)',
    advice: 'save the file as UTF-8 from its source',
    severity: odd,
  },
}

export const findingCodes: readonly string[] = Object.keys(rules)

/** Reasons why rows are dropped. */
const dropped = (code: string): Rule => ({
  message: `rows dropped: ${dropReasons[code] ?? code}`,
  advice: dropAdvice[code] ?? 'right if such rows are meant to be left out; else look at the first one',
  of: 'records',
  severity: isAccident(code) ? ifMost : odd,
})

/** Rows that are not left out because of what they say, nor because a format has such rows besides. */
const isAccident = (code: string) =>
  ['no-reply-left', 'no-target-left', 'prompt-too-long', 'empty-prompt', 'empty'].includes(code)

const holes = 'right where some rows have nothing there; else check the columns (--column)'
const limits = 'raise --max-length or --max-prompt-length, or leave long prompts out'
const short = 'look at these rows, and at the columns (--column)'
const dropAdvice: Record<string, string> = {
  'no-reply-left': limits,
  'no-target-left': limits,
  'prompt-too-long': limits,
  'empty-prompt': short,
  empty: short,
  'empty-chosen': holes,
  'no-completion': holes,
  'no-label': holes,
}

/** @param drops rows by the reason why they are dropped; `faults`: messages by code of rows that training refuses */
export const judge = (tally: Tally, drops: Tally, faults: ReadonlyMap<string, string>, facts: Facts): Finding[] => {
  const found: Finding[] = []
  const add = (
    code: string,
    { message, advice, of = 'rows', severity }: Rule,
    { count, first }: { count: number; first?: Where },
  ) => {
    const grade = severity(count, facts)
    if (grade) found.push({ code, severity: grade, count, of: Math.max(count, facts[of]), first, message, advice })
  }
  for (const [code, message] of faults)
    add(
      code,
      { message: `training refuses rows: ${message}`, advice: 'mend or remove them', severity: always },
      tally.get(code)!,
    )
  for (const [code, seen] of drops) add(code, dropped(code), seen)
  for (const [code, rule] of Object.entries(rules)) {
    const seen = tally.get(code)
    if (seen) add(code, rule, seen)
  }
  return [...found.filter(isRuin), ...found.filter((finding) => !isRuin(finding))]
}

export const isRuin = ({ severity }: Finding): boolean => severity === 'ruins'
