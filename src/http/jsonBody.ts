/**
 * Reads the JSON body of a request, with limits of size and of nesting. A body is read before its request counts as one of
 * those being served, so that slow clients keep nobody out; the memory of all bodies together has a limit of its own.
 */
import { HTTPException } from 'hono/http-exception'
import { parseJson } from '../util/json.ts'
import { httpError } from './errors.ts'

/** Bytes of one body, at most, where nothing else is said. */
const usualBodyBytes = 4 * 2 ** 20
/** Bytes of all bodies that are being read or made into prompts, at most. */
const maxOpenBytes = 256 * 2 ** 20
/** Lists and objects inside of each other, at most. */
const maxDepth = 100

/** The caller releases a body when it no longer needs it. */
export type BodyReader = (request: Request) => Promise<{ body: unknown; release(): void }>

/** A reader that counts the bytes of all open bodies. */
export const bodyReader = (maxBodyBytes = usualBodyBytes): BodyReader => {
  let openBytes = 0
  return async (request) => {
    // Browsers let web pages send any other type to another site without asking it first
    if (!/^application\/json\b/i.test(request.headers.get('content-type') ?? ''))
      throw httpError(400, 'the body must be JSON, with the header "Content-Type: application/json"')
    if (Number(request.headers.get('content-length')) > maxBodyBytes) throw tooLarge(maxBodyBytes)
    const chunks: Uint8Array[] = []
    let size = 0
    const release = () => {
      openBytes -= size
      size = 0
    }
    try {
      for await (const chunk of request.body ?? []) {
        openBytes += chunk.length
        size += chunk.length
        if (size > maxBodyBytes) throw tooLarge(maxBodyBytes)
        if (openBytes > maxOpenBytes) throw tooManyBytes()
        chunks.push(chunk)
      }
      return { body: parsed(Buffer.concat(chunks)), release }
    } catch (error) {
      release()
      throw error instanceof HTTPException ? error : httpError(400, 'the body did not arrive whole')
    }
  }
}

const tooLarge = (maxBodyBytes: number) =>
  httpError(413, `the body is larger than ${maxBodyBytes} bytes`, { code: 'request_too_large' })

const tooManyBytes = () =>
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

/** The nesting depth: brackets that are open at once, leaving out brackets in strings. */
const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (inString) {
      if (char === '\\') i++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '[' || char === '{') deepest = Math.max(deepest, ++depth)
    else if (char === ']' || char === '}') depth--
  }
  return deepest
}
