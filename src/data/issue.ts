/** A problem with a value of a record, as a return value; `conform` adds where the record is. */
export type Issue = { issue: 'wrong-type' | 'bad-value' | 'null-value' | 'missing-column'; message: string }

export const wrongType = (message: string): Issue => ({ issue: 'wrong-type', message })
export const badValue = (message: string): Issue => ({ issue: 'bad-value', message })
export const nullValue = (message: string): Issue => ({ issue: 'null-value', message })

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** No message, text or list of ids looks like one. */
export const isIssue = (value: unknown): value is Issue =>
  isObject(value) && typeof value.issue === 'string' && value.role === undefined
