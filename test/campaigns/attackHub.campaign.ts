/**
 * Attacks on the download client by a hostile hub: `npm run attack`.
 * HUB_ROUNDS (3,000) responses are changed at random, among them redirects and next pages on another origin; SEED starts the
 * sequence. The token must not reach another origin, nothing may be written outside the cache, and each round must end with a
 * model or with one Fault on one line. src/checkpoint/hubHostile.test.ts is the short form.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { changedJson } from '../fuzz/mutate.ts'
import { randomOf } from '../fuzz/random.ts'
import {
  type Answer,
  type HostileHub,
  honest,
  honestAnswers,
  json,
  openHostileHub,
  outcome,
  secret,
} from '../support/hostileHub.ts'

const seed = process.env.SEED ?? '1'
const rounds = Number(process.env.HUB_ROUNDS ?? 3000)
const words = [
  '../x',
  '/etc/passwd',
  '\u0000',
  '\u001b[31m',
  'n'.repeat(300),
  'config.json',
  '__proto__',
  'a/b/../../c',
  'C:\\x',
  '-1',
  '1e99',
]

let hub: HostileHub
beforeAll(async () => {
  hub = await openHostileHub()
})
afterAll(() => hub.close())

/** A response of the hub, changed or sent from another origin. */
const attack = (round: number): Answer => {
  const r = randomOf(`hub ${seed} ${round}`)
  const target = r.pick(['revision', 'tree', 'tree', 'tree', 'file'] as const)
  const redirected = r.once(4)
  const status = r.pick([301, 302, 303, 307, 308])
  const value = target === 'file' ? undefined : changedJson(structuredClone(honestAnswers[target]), r, words)
  const next = r.once(5)
    ? { link: `<${r.once(2) ? hub.elsewhereUrl : hub.url}/api/models/team/thing/tree/x>; rel="next"` }
    : {}
  return (asked, reply, request) => {
    if (asked !== target) return honest(asked, reply, request)
    if (redirected) return reply.writeHead(status, { location: `${hub.elsewhereUrl}${request.url}` }).end()
    if (value === undefined) return reply.writeHead(r.pick([200, 206, 404, 418]), { etag: '"x"' }).end('{"a":1}')
    return json(reply, value, next)
  }
}

it(`${rounds} responses of a hostile hub leak no token and write nothing outside the cache (seed ${seed})`, async () => {
  const ends: Record<string, number> = {}
  for (let round = 0; round < rounds; round++) {
    rmSync(join(hub.base, 'hub'), { recursive: true, force: true })
    hub.answer = attack(round)
    const ended = await outcome()
    const context = `SEED=${seed} round ${round}: ${ended}`
    expect(ended, context).toMatch(/^(done$|Fault: )/)
    expect(ended, context).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u)
    expect(ended.length, context).toBeLessThan(2100)
    expect(hub.leaked.join('\n'), context).not.toContain(secret)
    expect(readdirSync(hub.base), context).toEqual(readdirSync(hub.base).filter((name) => name === 'hub'))
    const kind = ended === 'done' ? 'done' : 'refused'
    ends[kind] = (ends[kind] ?? 0) + 1
    hub.leaked.length = 0
  }
  console.log({ rounds, ...ends })
})
