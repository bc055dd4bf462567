/** A store that speaks enough of S3 for an exchange: one bucket, objects in memory. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type S3Stub = { url: string; objects: Map<string, Buffer>; close(): Promise<void> }

export const openS3Stub = async (bucket: string): Promise<S3Stub> => {
  const objects = new Map<string, Buffer>()
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://stub').pathname)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (!path.startsWith(`/${bucket}`)) return response.writeHead(404).end()
    const key = path.slice(bucket.length + 2)
    if (request.method === 'PUT')
      objects.set(key, withoutChunks(request.headers['content-encoding'], Buffer.concat(chunks)))
    if (request.method === 'DELETE') objects.delete(key)
    const found = objects.get(key)
    if (key !== '' && /GET|HEAD/.test(request.method!)) {
      if (found) return response.writeHead(200, { 'content-length': found.length }).end(found)
      const body = '<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'
      return response.writeHead(404, { 'content-type': 'application/xml' }).end(body)
    }
    response.writeHead(request.method === 'DELETE' ? 204 : 200).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    objects,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/** Streams come in chunks, each after a line with its length, and with a checksum behind the last. */
const withoutChunks = (encoding: string | undefined, body: Buffer): Buffer => {
  if (!encoding?.includes('aws-chunked')) return body
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at)
    const length = Number.parseInt(body.toString('latin1', at, end), 16)
    if (!length) return Buffer.concat(parts)
    parts.push(body.subarray(end + 2, end + 2 + length))
    at = end + 4 + length
  }
}
