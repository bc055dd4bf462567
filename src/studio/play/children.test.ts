/** Models of the playground as processes: a chat with one, rewards by another, and that none is left behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root as project } from '../../../test/support/project.ts'
import { addStories, addStoriesReward, openPlayStudio, textOf } from '../../../test/support/studioPlay.ts'
import type { OpenModel } from './api.ts'

/** A folder may be called anything. */
const name = "models/--host 'x' $(touch pwned)"
let play: Awaited<ReturnType<typeof openPlayStudio>>
beforeAll(async () => {
  play = await openPlayStudio()
  await addStories(join(play.root, name))
  await addStoriesReward(join(play.root, 'models/reward'))
})
afterAll(() => play.close())

const say = [{ role: 'user', content: 'Once upon a time' }]

/** Processes whose parent is this one. Linux tells. */
const childrenOf = (pid: number): number[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => {
      try {
        return Number(readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ')[1].split(' ')[1]) === pid
      } catch {
        return false
      }
    })
    .map(Number)
const isThere = (pid: number) => existsSync(`/proc/${pid}`)

it('a local model answers through the studio, equally for equal seeds, and goes on from another token', async () => {
  expect(await play.ask('POST', '/play/open', { model: name })).toMatchObject({ kind: 'local', state: 'loading' })
  const lanes = [0, 1].map((lane) => ({ lane, model: name, messages: say }))
  const events = await play.turn({ lanes })
  expect(textOf(events, 0)).toMatch(/^, there was/)
  expect(textOf(events, 1)).toBe(textOf(events, 0))
  const tokens = events.flatMap((event) => (event.lane === 0 ? (event.tokens ?? []) : []))
  expect(tokens.length).toBe(8)
  for (const { at, text, logp, tops } of tokens) {
    expect(textOf(events, 0).slice(at, at + text.length)).toBe(text)
    expect(Math.exp(logp)).toBeLessThanOrEqual(1)
    expect(tops.length).toBe(5)
  }
  const [on] = await play.turn({ lanes: [{ lane: 0, model: name, messages: say, prefix: ', there were two' }] })
  expect(on.text).toMatch(/\w/)
  const open: OpenModel[] = await play.ask('GET', '/play/open')
  expect(open).toMatchObject([{ model: name, state: 'ready', chat: true }])
  expect(existsSync(join(play.root, 'pwned'))).toBe(false)
})

it('what is no model says why, and closing ends the process', async () => {
  const [event] = await play.turn({ lanes: [{ lane: 0, model: 'models/nowhere', messages: say }] })
  expect(event.error).toContain('is not open')
  await play.ask('POST', '/play/open', { model: 'models/nowhere' })
  const [failed] = await play.turn({ lanes: [{ lane: 0, model: 'models/nowhere', messages: say }] })
  expect(failed.error).toContain('models/nowhere')
  const before = childrenOf(process.pid)
  await play.send('POST', '/play/close', { model: name })
  expect(before.filter(isThere).length).toBe(before.length - 1)
  const open: OpenModel[] = await play.ask('GET', '/play/open')
  expect(open.map(({ state }) => state).sort()).toEqual(['closed', 'failed'])
})

it('a reward model scores answers, each as it would alone', async () => {
  const scorer = { kind: 'reward', model: 'models/reward' }
  const ask = (...answers: string[]) => play.ask('POST', '/play/score', { scorer, prompt: 'Once', answers })
  const [a, b] = await ask(' upon a time', ' there was a cat')
  const [alone] = await ask(' there was a cat')
  expect(alone.value).toBeCloseTo(b.value, 4)
  expect(a.value).not.toBeCloseTo(b.value, 2)
  const refused = await play.ask('POST', '/play/score', {
    scorer: { kind: 'reward', model: name },
    prompt: 'x',
    answers: ['y'],
  })
  expect(refused.error.message).toMatch(/is no reward model/)
})

it.skipIf(process.platform !== 'linux')('a studio that is killed leaves no model behind', async () => {
  const argv = [
    join(project, 'bin/attune.js'),
    'studio',
    play.root,
    '--port',
    '0',
    '--json',
    '--store',
    join(play.root, 'other.db'),
  ]
  const studio: ChildProcess = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: studio.stdout! }), 'line')
  const { url, owner } = JSON.parse(line)
  const authorization = `Bearer ${new URL(owner).searchParams.get('token')}`
  const headers = { authorization, 'content-type': 'application/json' }
  await fetch(`${url}/api/play/open`, { method: 'POST', headers, body: JSON.stringify({ model: name }) })
  const [model] = childrenOf(studio.pid!)
  expect(isThere(model)).toBe(true)
  studio.kill('SIGKILL')
  await once(studio, 'exit')
  await expect.poll(() => isThere(model), { timeout: 20_000 }).toBe(false)
})
