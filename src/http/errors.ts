/** HTTP errors in the form that OpenAI's clients read: {"error": {"message", "type", "param", "code"}} and a status. */
import { HTTPException } from 'hono/http-exception'
import { Fault } from '../util/fault.ts'

const types = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'invalid_request_error',
  429: 'rate_limit_error',
  500: 'server_error',
  503: 'server_error',
} as const
type Status = keyof typeof types

export const errorBody = (
  status: Status,
  message: string,
  param: string | null = null,
  code: string | null = null,
) => ({
  error: { message, type: types[status], param, code },
})

export type ErrorDetails = { param?: string; code?: string; headers?: Record<string, string> }

export const httpError = (status: Status, message: string, { param, code, headers }: ErrorDetails = {}) =>
  new HTTPException(status, {
    message,
    res: Response.json(errorBody(status, message, param, code), { status, headers }),
  })

/** Any error as an HTTP error: 400 for bad input, 503 for an engine that is closing, 500 for the rest. */
export const asHttpError = (error: unknown): HTTPException => {
  if (error instanceof HTTPException) return error
  if (!(error instanceof Fault)) return httpError(500, 'the server failed; its log says why')
  if (error.code === 'closed') return httpError(503, 'the server is closing', { code: 'closing' })
  return httpError(error.exitCode === 2 ? 400 : 500, error.message, { code: error.code })
}

/** The JSON body of an error, for a response whose status has been sent already. */
export const errorBodyOf = async (error: unknown): Promise<string> => asHttpError(error).getResponse().text()
