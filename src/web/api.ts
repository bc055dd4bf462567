/** Requests to the studio's server, and its live events. */
import { useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import type { ApiError, LiveEvent } from '../studio/api.ts'

/** A refusal of the server, with its message for the user. Status 0: the server cannot be reached. */
export class ApiFault extends Error {
  override readonly name = 'ApiFault'
  readonly status: number
  readonly code: string | undefined
  /** The whole answer: a conflict says more than its message. */
  readonly body: unknown

  constructor(status: number, message: string, code?: string | null, body?: unknown) {
    super(message)
    this.status = status
    this.code = code ?? undefined
    this.body = body
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** @param path below /api. `keepalive`: goes out though the page is being left. Throws ApiFaults. */
export const request = async <T>(
  method: Method,
  path: string,
  body?: unknown,
  { signal, keepalive }: { signal?: AbortSignal; keepalive?: boolean } = {},
): Promise<T> => {
  const response = await fetch(`/api${path}`, {
    method,
    signal,
    keepalive,
    ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  }).catch((error) => {
    if (signal?.aborted) throw error
    throw new ApiFault(0, 'the studio does not answer; is attune studio still running?')
  })
  if (!response.ok) throw await faultOf(response)
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T)
}

export const get = <T>(path: string, options?: { signal?: AbortSignal }) => request<T>('GET', path, undefined, options)
export const post = <T>(path: string, body: unknown = {}) => request<T>('POST', path, body)

export const faultOf = async (response: Response): Promise<ApiFault> => {
  const body = (await response.json().catch(() => undefined)) as ApiError | undefined
  return new ApiFault(response.status, body?.error?.message ?? `status ${response.status}`, body?.error?.code, body)
}

/** An id for a request that changes something: sent again with the same id, it is done once. */
export const newRequestId = (): string => crypto.randomUUID()

/**
 * Listens to topics while a component is shown. The browser connects again by itself; `onReady` is called each time it has,
 * since events in between were missed.
 */
export const useLive = (topics: readonly string[], onEvent: (event: LiveEvent) => void, onReady?: () => void) => {
  const key = topics.join('\n')
  useEffect(() => {
    if (!key) return
    const query = key.split('\n').map((topic) => `topic=${encodeURIComponent(topic)}`)
    const source = new EventSource(`/api/live?${query.join('&')}`)
    source.onmessage = ({ data }) => onEvent(JSON.parse(data))
    source.addEventListener('ready', () => onReady?.())
    return () => source.close()
    // A new function at each render is no reason to connect again
  }, [key])
}

/** Reads queries anew whose key begins with one of these words when a topic has an event. */
export const useRefreshOn = (topics: readonly string[], ...keys: readonly string[]) => {
  const client = useQueryClient()
  const refresh = () => {
    for (const key of keys) void client.invalidateQueries({ queryKey: [key] })
  }
  useLive(topics, refresh, refresh)
}
