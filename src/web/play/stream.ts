/** Reads the server-sent events that answer a POST request; the browser's EventSource sends GET alone. */
import { faultOf } from '../api.ts'

/** Calls `onEvent` with the data of each event. Throws ApiFaults, and the abort of the signal. */
export const postForEvents = async <T>(
  path: string,
  body: unknown,
  onEvent: (event: T) => void,
  signal: AbortSignal,
): Promise<void> => {
  const response = await fetch(`/api${path}`, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok || !response.body) throw await faultOf(response)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (rest + value).split('\n\n')
    rest = events.pop()!
    for (const event of events) {
      const data = event
        .split('\n')
        .flatMap((line) => (line.startsWith('data:') ? line.slice(5).trimStart() : []))
        .join('\n')
      if (data) onEvent(JSON.parse(data))
    }
  }
}
