/**
 * Attacks on `attune serve` as a process: `npm run attack`.
 * Tries every combination (or COMBINATIONS) of host, origin, token, method and path; bodies at their limits while other clients send
 * requests; ROUNDS (2,000) malformed requests; and CLIENTS (600) that are slow or disconnect. SEED starts the sequence. No
 * forbidden request may be accepted, no response may be a 5xx, and the server must end within five seconds.
 * test/attackServe.test.ts is the short form, with a browser.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { accessMatrix, bodies, malformed, slow, type Target } from '../support/attackServe.ts'
import { fixture } from '../support/golden.ts'
import { root } from '../support/project.ts'

const seed = Number(process.env.SEED ?? 1)
const rounds = Number(process.env.ROUNDS ?? 2000)
const clients = Number(process.env.CLIENTS ?? 600)
/** How many combinations of host, origin, token, method and path to try; by default all. */
const combinations = Number(process.env.COMBINATIONS ?? Number.POSITIVE_INFINITY)
const corsOrigin = 'https://allowed.example'

const folder = mkdtempSync(join(tmpdir(), 'attune-attack-'))
const model = folder.split('/').at(-1)!
cpSync(fixture('models/stories260K'), folder, { recursive: true })
const turn = "{% for m in messages %}{{ '<s>' + m.role + ': ' + m.content | trim + '</s>' }}{% endfor %}"
writeFileSync(join(folder, 'chat_template.jinja'), turn)

/** Runs an attack on a new server, and checks that the server then ends in time. */
const attack = async (flags: string[], run: (target: Target) => Promise<object>) => {
  const env = { ...process.env, ATTACK_TOKEN: 'right' }
  const argv = ['bin/attune.js', 'serve', '--model', folder, '--port', '0', '--json', ...flags]
  const server = spawn(process.execPath, argv, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let complaints = ''
  server.stderr.on('data', (text) => {
    complaints += text
  })
  const [line] = await once(createInterface({ input: server.stdout }), 'line')
  const { sockets, ...counts } = (await run({ port: Number(new URL(JSON.parse(line).url).port), model })) as {
    sockets?: { destroy(): void }[]
  }
  const began = Date.now()
  server.kill('SIGINT')
  const [code] = await once(server, 'exit')
  const seconds = (Date.now() - began) / 1000
  for (const socket of sockets ?? []) socket.destroy()
  console.log({ flags, ...counts, secondsToEnd: seconds })
  expect([code, complaints.split('\n').filter((text) => text.startsWith('error'))]).toEqual([0, []])
  expect(seconds).toBeLessThan(5)
}

it('without a token, only requests to a name of this machine are accepted', () =>
  attack([], (target) => accessMatrix(target, seed, combinations)))
it('with a token, only requests with that token are accepted', () =>
  attack(['--token-env', 'ATTACK_TOKEN'], (target) => accessMatrix({ ...target, token: 'right' }, seed, combinations)))
it('only pages of the allowed CORS origin are accepted', () =>
  attack(['--cors-origin', corsOrigin], (target) => accessMatrix({ ...target, corsOrigin }, seed, combinations)))
it('large, deep and malformed bodies do not delay other requests', () => attack([], (target) => bodies(target, 120)))
it('malformed requests never cause a 5xx', () => attack([], (target) => malformed(target, seed, rounds)))
it('slow clients neither block others nor delay the shutdown', () =>
  attack([], async (target) => {
    const { status, ...counts } = await slow(target, clients)
    expect(status).toBe(200)
    return counts
  }))

process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
