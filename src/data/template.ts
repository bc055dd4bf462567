/**
 * A row's arguments for its chat template: the columns "tools" (a list of JSON schemas, or that list as JSON; "functions" of
 * OpenAI's older files) and
 * "chat_template_kwargs" (variables such as enable_thinking), as TRL reads them.
 */
import type { ChatOptions } from '../text/chat.ts'
import { parseJson } from '../util/json.ts'
import { type RecordLocation, rowFault } from './check.ts'
import { isObject } from './issue.ts'

export type TemplateArguments = Pick<ChatOptions, 'tools' | 'documents' | 'variables'>

/** Arguments of transformers' apply_chat_template that say how rows become ids: the method decides, not a row. */
const notVariables = [
  'conversation',
  'messages',
  'chat_template',
  'add_generation_prompt',
  'continue_final_message',
  'tokenize',
  'padding',
  'truncation',
  'max_length',
  'return_tensors',
  'return_dict',
  'return_assistant_tokens_mask',
  'tokenizer_kwargs',
  'sanitize_control_tokens',
]

/** Undefined where the row gives none. @throws Fault wrong-type, bad-value */
export const templateOf = (
  record: Record<string, unknown>,
  location: RecordLocation,
): TemplateArguments | undefined => {
  const { chat_template_kwargs } = record
  const tools = record.tools ?? toolsOf(parsed(record.functions, 'functions', location), location)
  if ((tools ?? chat_template_kwargs ?? null) === null) return
  const given = variablesOf(parsed(chat_template_kwargs, 'chat_template_kwargs', location), location)
  const { tools: own, documents, ...variables } = given
  const made = {
    ...listed('tools', own ?? parsed(tools, 'tools', location), own ? 'chat_template_kwargs' : 'tools', location),
    ...listed('documents', documents, 'chat_template_kwargs', location),
    ...(Object.keys(variables).length && { variables }),
  }
  return Object.keys(made).length ? made : undefined
}

/** "functions" of OpenAI before there were tools: the schemas alone. */
const toolsOf = (functions: unknown, location: RecordLocation): object[] | undefined => {
  if (functions === null || functions === undefined) return
  if (!Array.isArray(functions) || !functions.every(isObject))
    throw rowFault('wrong-type', 'must be a list of objects', location, 'functions')
  return functions.map((schema) => ({ type: 'function', function: schema }))
}

/** A column may hold its value as JSON. */
const parsed = (value: unknown, column: string, location: RecordLocation): unknown => {
  if (typeof value !== 'string') return value
  // An empty field of csv
  if (value.trim() === '') return null
  return parseJson(value, () => rowFault('wrong-type', 'is a text, but no JSON', location, column))
}

/** A variable that is null counts as absent: parquet fills in what other rows have. */
const variablesOf = (value: unknown, location: RecordLocation): Record<string, unknown> => {
  const column = 'chat_template_kwargs'
  if (value === null || value === undefined) return {}
  if (!isObject(value)) throw rowFault('wrong-type', 'must be an object of variables', location, column)
  const stray = notVariables.find((name) => value[name] !== undefined && value[name] !== null)
  if (stray)
    throw rowFault('bad-value', `holds ${stray}, which is no variable of a template; leave it out`, location, column)
  const variables = { ...value }
  for (const name of Object.keys(variables)) if (variables[name] === null) delete variables[name]
  return variables
}

const listed = (name: 'tools' | 'documents', value: unknown, column: string, location: RecordLocation) => {
  if (value === null || value === undefined) return {}
  if (!Array.isArray(value) || !value.every(isObject))
    throw rowFault('wrong-type', `must be a list of objects${column === name ? '' : ` (${name})`}`, location, column)
  return { [name]: value }
}
