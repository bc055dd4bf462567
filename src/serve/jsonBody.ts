/**
 * The body of a request: read with limits of size, checked for depth, then parsed. Peculiar: it is read before the request
 * has a place among those that are served, so that clients that send slowly keep nobody out; what all bodies that are
 * being read take together has a limit too.
 */
import { HTTPException } from 'hono/http-exception'
import { parseJson } from '../util/json.ts'
import { httpError } from './errors.ts'

/** Bytes of one body. */
const maxBodyBytes = 4 * 2 ** 20
/** Bytes of all that are being read or made into prompts. */
const maxOpenBytes = 256 * 2 ** 20
/** Lists and objects inside of each other. */
const maxDepth = 100

/** Whoever is given a body says when he has made of it what he needs. */
export type BodyReader = (request: Request) => Promise<{ body: unknown; release(): void }>

/** A reader that counts what it holds over all requests. */
export const bodyReader = (): BodyReader => {
  let held = 0
  return async (request) => {
    // Web pages can send anything else to another site without asking
    if (!/^application\/json\b/i.test(request.headers.get('content-type') ?? ''))
      throw httpError(400, 'the body must be JSON, with the header "Content-Type: application/json"')
    if (Number(request.headers.get('content-length')) > maxBodyBytes) throw tooLarge()
    const parts: Uint8Array[] = []
    let size = 0
    const release = () => {
      held -= size
      size = 0
    }
    try {
      for await (const part of request.body ?? []) {
        held += part.length
        size += part.length
        if (size > maxBodyBytes) throw tooLarge()
        if (held > maxOpenBytes) throw crowded()
        parts.push(part)
      }
      return { body: parsed(Buffer.concat(parts)), release }
    } catch (error) {
      release()
      throw error instanceof HTTPException ? error : httpError(400, 'the body did not arrive whole')
    }
  }
}

const tooLarge = () => httpError(413, `the body is larger than ${maxBodyBytes} bytes`, { code: 'request_too_large' })

const crowded = () =>
  httpError(429, 'too many large bodies are being read; try again in a moment', {
    code: 'too_many_requests',
    headers: { 'retry-after': '1' },
  })

const parsed = (bytes: Buffer): unknown => {
  const text = textOf(bytes)
  if (depthOf(text) > maxDepth) throw httpError(400, `the body nests deeper than ${maxDepth} levels`)
  return parseJson(text, () => httpError(400, 'the body is not JSON'))
}

const textOf = (bytes: Buffer): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw httpError(400, 'the body is not UTF-8')
  }
}

/** The most brackets that are open at once; brackets inside of texts do not count. */
const depthOf = (text: string): number => {
  let [depth, most, inside] = [0, 0, false]
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (inside) {
      if (char === '\\') i++
      else if (char === '"') inside = false
    } else if (char === '"') inside = true
    else if (char === '[' || char === '{') most = Math.max(most, ++depth)
    else if (char === ']' || char === '}') depth--
  }
  return most
}
