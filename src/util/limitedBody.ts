/** Answers of servers whose body ends: at a number of bytes at the latest. */

/**
 * The same response with a body of so many bytes at most; reading on fails with what `tooLong` gives, and the rest is not
 * read. `heard` is told of each piece.
 */
export const limitedBody = (
  reply: Response,
  limit: number,
  { tooLong, heard = () => {}, ended = () => {} }: { tooLong(): Error; heard?(): void; ended?(): void },
): Response => {
  if (!reply.body) return reply
  let bytes = 0
  const body = reply.body.pipeThrough(
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
  const { status, statusText, headers } = reply
  // A Response that is made here has no address, and a download asks where it came from
  return Object.defineProperty(new Response(body, { status, statusText, headers }), 'url', { value: reply.url })
}
