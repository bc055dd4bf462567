/** An OpenAI-compatible server on a loopback port, with responses that the test defines. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Asked = { path: string; headers: IncomingMessage['headers']; body: Record<string, unknown> }
export type Reply = (asked: Asked, response: ServerResponse, count: number) => void

export type FakeEndpoint = { url: string; asked: Asked[]; reply: Reply; close(): Promise<void> }

/** A response in the format of OpenAI. */
export const answered = (text: string | null, more: object = {}) => ({
  choices: [{ index: 0, message: { role: 'assistant', content: text }, text, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  ...more,
})

export const send = (response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}) =>
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(typeof body === 'string' ? body : JSON.stringify(body))

export const fakeEndpoint = async (reply: Reply): Promise<FakeEndpoint> => {
  const made: FakeEndpoint = { url: '', asked: [], reply, close: async () => {} }
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const asked = { path: request.url!, headers: request.headers, body: text ? JSON.parse(text) : {} }
    made.asked.push(asked)
    made.reply(asked, response, made.asked.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  made.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  made.close = () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  }
  return made
}
