/**
 * A hostile hub: where the token is sent, and answers that no hub gives. `npm run attack` continues with random
 * answers.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  commit,
  file,
  type HostileHub,
  honest,
  honestAnswers,
  json,
  openHostileHub,
  outcome,
  secret,
} from '../../test/support/hostileHub.ts'

let hub: HostileHub
beforeEach(async () => {
  hub = await openHostileHub()
})
afterEach(() => hub.close())

describe('the token', () => {
  const statuses = [301, 302, 303, 307, 308]
  const cases = statuses.flatMap((status) => (['revision', 'tree', 'file'] as const).map((what) => ({ status, what })))

  it.each(cases)('is not sent where $what is redirected to another origin by $status', async ({ status, what }) => {
    hub.answer = (asked, reply, request) =>
      asked === what
        ? reply
            .writeHead(status, { location: `${hub.elsewhereUrl}${request.url}`, 'x-cache': 'Hit from cloudfront' })
            .end()
        : honest(asked, reply, request)
    await outcome()
    expect(hub.leaked.length).toBeGreaterThan(0)
    expect(hub.leaked.join('\n')).not.toContain(secret)
  })

  it('is not sent to another origin that claims to be a cache of the hub', async () => {
    hub.elsewhere = (_, reply, request) => {
      reply.setHeader('x-cache', 'Hit from cloudfront')
      file(reply, request)
    }
    hub.answer = (asked, reply, request) =>
      asked === 'file'
        ? reply.writeHead(302, { location: `${hub.elsewhereUrl}/stored` }).end()
        : honest(asked, reply, request)
    await outcome()
    expect(hub.leaked.length).toBeGreaterThan(1)
    expect(hub.leaked.join('\n')).not.toContain(secret)
  })

  it('is not sent where the next page of a list is on another origin', async () => {
    hub.answer = (asked, reply, request) =>
      asked === 'tree'
        ? json(reply, honestAnswers.tree, { link: `<${hub.elsewhereUrl}/api/models/team/thing/tree/x>; rel="next"` })
        : honest(asked, reply, request)
    await outcome()
    expect(hub.leaked).toEqual(['/api/models/team/thing/tree/x undefined'])
  })

  it.each(['hf_a\nhost: evil', 'hf_a b', 'hf_\u001b[31m', 'secret', 'hf_'])(
    'is refused and not shown where it cannot be one: %j',
    async (token) => {
      vi.stubEnv('HF_TOKEN', token)
      expect(await outcome()).toMatch(/^Fault: the token of HF_TOKEN/)
      expect(await outcome()).not.toContain(token.slice(3) || 'no token')
    },
  )
})

describe('HF_ENDPOINT', () => {
  it.each([
    'http://user:pass@127.0.0.1:1',
    'http://127.0.0.1:1\nx',
    'http://\u001b127.0.0.1',
    'file:///etc',
    'example',
    'http://a/?token=pass',
  ])('is refused and not shown where it is no address of a hub: %j', async (text) => {
    vi.stubEnv('HF_ENDPOINT', text)
    expect(await outcome()).toMatch(/^Fault: HF_ENDPOINT: must be the address/)
    expect(await outcome()).not.toContain(text)
  })
})

describe('answers that are not a hub’s', () => {
  const wrong = [null, 5, 'x', {}, [null], [5], [{}], [[]], [{ type: 'file', path: null, size: 1, oid: commit }]]

  it.each(wrong.map((value) => ({ value })))('as a list of files: $value', async ({ value }) => {
    hub.answer = (asked, reply, request) => (asked === 'tree' ? json(reply, value) : honest(asked, reply, request))
    expect(await outcome()).toMatch(/^Fault: .*(is not a hub's|no weights)/)
  })

  it.each([null, 5, [], {}, { sha: 5 }, { sha: '../../x' }].map((value) => ({ value })))(
    'as a revision: $value',
    async ({ value }) => {
      hub.answer = (asked, reply, request) =>
        asked === 'revision' ? json(reply, value) : honest(asked, reply, request)
      expect(await outcome()).toMatch(/^Fault: .*(is not a hub's|names no commit)/)
    },
  )

  it('as a list that never ends', async () => {
    let page = 0
    hub.answer = (asked, reply, request) =>
      asked === 'tree'
        ? json(reply, [], { link: `<http://${request.headers.host}${request.url}&cursor=${page++}>; rel="next"` })
        : honest(asked, reply, request)
    expect(await outcome()).toMatch(/^Fault: .*does not end/)
    expect(page).toBeLessThanOrEqual(1000)
  })

  it('as an answer of the API without an end', async () => {
    hub.answer = (asked, reply, request) => {
      if (asked !== 'tree') return honest(asked, reply, request)
      reply.writeHead(200, { 'content-type': 'application/json' })
      const fill = () => {
        while (!reply.destroyed && reply.write(Buffer.alloc(1 << 20, '['))) {}
        if (!reply.destroyed) reply.once('drain', fill)
      }
      fill()
    }
    expect(await outcome()).toMatch(/^Fault: .*longer than 64 MiB/)
  })

  it('as names that leave the cache, or that no folder takes', async () => {
    const names = ['../x.json', 'a\u0000.json', `${'n'.repeat(300)}.json`, 'a\u001b.json', 'C:\\x.json', '/etc/x.json']
    const entry = (path: string) => ({ ...(honestAnswers.tree as object[])[0], path })
    hub.answer = (asked, reply, request) =>
      asked === 'tree'
        ? json(reply, [...names, 'config.json', 'model.safetensors'].map(entry))
        : honest(asked, reply, request)
    expect(await outcome()).toBe('done')
    expect(readdirSync(join(hub.base, 'hub/models--team--thing/snapshots', commit)).sort()).toEqual([
      'config.json',
      'model.safetensors',
    ])
  })
})
