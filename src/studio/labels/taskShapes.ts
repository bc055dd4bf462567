/**
 * Records of files that hold a prompt and responses without a vote on them: what nobody has labelled yet. Rows that training
 * reads need ranks; these need none.
 */
import { isIssue, isObject } from '../../data/issue.ts'
import { isMessage, readMessages } from '../../data/messages.ts'
import type { Text } from '../../data/rows.ts'
import type { Response } from './api.ts'

type Columns = Record<string, unknown>
export type Shape = { prompt: Text; responses: Response[] }

const prompts = ['prompt', 'instruction', 'question', 'query', 'input', 'text', 'messages']
const lists = ['responses', 'completions', 'outputs', 'answers', 'candidates', 'samples', 'generations', 'items']
const texts = ['text', 'content', 'body', 'response', 'completion', 'output', 'answer']
const sources = ['source', 'model', 'generator']
/** answer1, response_a, output_2: one column for each response. */
const numbered = /^(answer|response|output|completion|candidate|model|text)[_-]?([1-9]\d?|[a-h])$/i

const textOf = (value: unknown): Text | undefined => {
  if (typeof value === 'string') return value
  const turns =
    Array.isArray(value) && value.length && isMessage(value[0]) ? value : isMessage(value) ? [value] : undefined
  if (!turns) return undefined
  const read = readMessages(turns)
  return isIssue(read) ? undefined : read
}

/** Where a response comes from, and whether it was cut off, as its record says. */
export const originOf = (record: Columns): Omit<Response, 'text'> => {
  const name = sources.find((column) => typeof record[column] === 'string' && record[column])
  return {
    ...(name && { source: record[name] as string }),
    ...(isCutOff(record.finish_reason) && { cutOff: true }),
  }
}

/** As attune generate and servers of models say it. */
export const isCutOff = (finishReason: unknown): boolean => finishReason === 'length'

const responseOf = (value: unknown): Response | undefined => {
  const text = textOf(value)
  if (text !== undefined) return { text }
  if (!isObject(value)) return undefined
  const name = texts.find((column) => textOf(value[column]) !== undefined)
  return name ? { text: textOf(value[name])!, ...originOf(value) } : undefined
}

const fromList = (record: Columns): Response[] | undefined => {
  const name = lists.find((column) => Array.isArray(record[column]) && (record[column] as unknown[]).length)
  if (!name) return undefined
  const responses = (record[name] as unknown[]).map(responseOf)
  if (responses.some((response) => response === undefined)) return undefined
  // Names of their models may stand beside them
  const names = ['sources', 'models', 'generators'].map((column) => record[column]).find(Array.isArray)
  return (responses as Response[]).map((response, i) =>
    typeof names?.[i] === 'string' ? { ...response, source: names[i] as string } : response,
  )
}

const fromColumns = (record: Columns): Response[] | undefined => {
  const columns = Object.keys(record).filter((column) => numbered.test(column) && textOf(record[column]) !== undefined)
  const kinds = new Set(columns.map((column) => numbered.exec(column)![1].toLowerCase()))
  const kind = [...kinds].find((one) => columns.filter((column) => column.toLowerCase().startsWith(one)).length > 1)
  if (!kind) return undefined
  return columns
    .filter((column) => column.toLowerCase().startsWith(kind))
    .map((column) => {
      const place = numbered.exec(column)![2]
      const name = ['generator', 'source', 'model']
        .map((of) => record[`${of}_${place}`])
        .find((of) => typeof of === 'string')
      return {
        text: textOf(record[column])!,
        ...(kind !== 'model' && name !== undefined && { source: name as string }),
      }
    })
}

/** Prompt and responses of a record; undefined where it is a row of another kind, or a vote. */
export const shapeOf = (record: Columns): Shape | undefined => {
  const inner = isObject(record.data) ? record.data : isObject(record.fields) ? record.fields : record
  const prompt = prompts
    .map((column) => [column, textOf(inner[column])] as const)
    .find(([, text]) => text !== undefined)
  if (!prompt) return undefined
  const { [prompt[0]]: _, ...rest } = inner
  const turns = inner.messages === undefined ? undefined : textOf(inner.messages)
  const responses = fromList(rest) ?? fromColumns(rest)
  // A conversation that is kept beside its prompt says it better
  return responses && { prompt: inner !== record && turns ? turns : prompt[1]!, responses }
}
