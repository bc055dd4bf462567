/** HTTP responses with a limit on the size of their body. */

/**
 * The same response with a body of at most `limit` bytes. Reading beyond them fails with the error of `tooLong`, and the rest
 * is not read. `heard` is called for each chunk, `ended` at the end of the body.
 */
export const limitedBody = (
  response: Response,
  limit: number,
  { tooLong, heard = () => {}, ended = () => {} }: { tooLong(): Error; heard?(): void; ended?(): void },
): Response => {
  if (!response.body) return response
  let bytes = 0
  const body = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, out) {
        heard()
        bytes += chunk.length
        if (bytes <= limit) out.enqueue(chunk)
        else out.error(tooLong())
      },
      flush: ended,
    }),
  )
  const { status, statusText, headers } = response
  // A new Response has no URL, which the code of a download reads
  return Object.defineProperty(new Response(body, { status, statusText, headers }), 'url', { value: response.url })
}
