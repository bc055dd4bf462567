/** A comparison from models to the page: nothing is computed twice, and bad input is refused before anything is generated. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { judgeStub } from '../../../test/support/judgeStub.ts'
import { badInput } from '../../util/fault.ts'
import { type CompareEvent, compare } from './compare.ts'
import type { Judge } from './judges.ts'
import { openBase, parsePolicy } from './policies.ts'
import { readPrompts } from './prompts.ts'
import { compareSchema } from './settings.ts'
import { rewardsOf, trainedOn } from './trainedOn.ts'

let root: string
const at = (...names: string[]) => join(root, ...names)

/** A copy of the base whose last norm is another one: bolder, or blunter, in what it chooses. */
const makeModel = async (dir: string, factor: number) => {
  await cp(fileURLToPath(new URL('../../../test/fixtures/models/stories260K', import.meta.url)), dir, {
    recursive: true,
  })
  const file = join(dir, 'model.safetensors')
  const bytes = await readFile(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const [from, to]: [number, number] = JSON.parse(bytes.subarray(8, start).toString())['model.norm.weight'].data_offsets
  for (let i = start + from; i < start + to; i += 4) bytes.writeFloatLE(factor * bytes.readFloatLE(i), i)
  await writeFile(file, bytes)
}

/** A run folder as training leaves it, rewarded by a module. */
const makeRun = async (dir: string, factor: number, reward: string) => {
  await makeModel(join(dir, 'model'), factor)
  const info = { format: 1, method: 'reinforce', created: '', command: [], versions: {}, machine: {}, resumes: [] }
  await writeFile(join(dir, 'run.json'), JSON.stringify({ ...info, config: { model: at('base'), reward: [reward] } }))
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-compare-'))
  vi.stubEnv('ATTUNE_CACHE', at('cache'))
  await makeModel(at('base'), 1)
  await makeRun(at('bold'), 1.5, at('words.mjs'))
  await makeModel(at('blunt'), 0.6)
  const rows = ['Once upon a time', 'One day, Tom', 'Lily had a', 'The dog', 'so '.repeat(600)].map((prompt) => ({
    prompt,
  }))
  await writeFile(at('prompts.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  await writeFile(at('words.mjs'), 'export default (rows) => rows.map((row) => row.completion.split(" ").length)')
  // The second prompt gets no mark
  await writeFile(
    at('letters.mjs'),
    'export default (rows) => rows.map(({ prompt, completion }) => /Tom/.test(prompt) ? NaN : (completion.match(/[a-z]/g) ?? []).length)',
  )
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true, force: true })
})

/** Reads every conversation as one token. */
const characters = {
  eosId: undefined,
  addsEos: false,
  size: 1,
  encode: () => ({ ids: [0] }),
  chat: { encode: () => ({ ids: [0], assistantMask: undefined }) },
}

const settingsOf = (more: Record<string, unknown> = {}) =>
  compareSchema.parse({
    policies: [at('bold'), at('blunt')],
    sft: at('base'),
    data: [at('prompts.jsonl')],
    output: at('out'),
    reward: [at('words.mjs')],
    judge: [at('letters.mjs')],
    samples: 2,
    maxNewTokens: 8,
    threads: 1,
    ...more,
  })

const run = async (
  more: Record<string, unknown> = {},
  each: (event: CompareEvent) => void = () => {},
  signal?: AbortSignal,
) => {
  const events: CompareEvent[] = []
  for await (const event of compare(settingsOf(more), { signal, command: ['attune', 'compare'] })) {
    events.push(event)
    each(event)
  }
  return events
}
const progressCount = (events: readonly CompareEvent[]) => events.filter(({ event }) => event === 'progress').length
const findings = async (name: string) => JSON.parse(await readFile(at(name, 'findings.json'), 'utf8'))

describe('a comparison', () => {
  let whole: unknown
  it('reads names and runs of policies', () => {
    expect(parsePolicy('runs/level1/')).toEqual({ name: 'level1', runs: ['runs/level1/'] })
    expect(parsePolicy(at('base')).name).toBe('base')
    expect(parsePolicy('l1=runs/a,runs/b')).toEqual({ name: 'l1', runs: ['runs/a', 'runs/b'] })
  })

  it('by a judge that compares has the model before training as the one to beat', async () => {
    const stub = await judgeStub({ quality: (answer) => answer.length })
    vi.stubEnv('ATTUNE_CACHE', at('cache'))
    try {
      const judging = {
        reward: undefined,
        judge: [`judge=${stub.url}#m`],
        judgeMode: 'pairwise',
        output: at('pairwise'),
      }
      const events = await run(judging)
      const last = events.at(-1)!
      if (last.event !== 'result') throw new Error(last.event)
      const { table } = await findings('pairwise')
      const rewards = table.map(({ reward }: { reward: { value: number } }) => reward.value)
      expect(rewards[0]).toBe(0.5)
      for (const reward of rewards) expect(reward).toBeGreaterThanOrEqual(0)
      expect(stub.calls()).toBeGreaterThan(0)
      expect(stub.calls() % 2).toBe(0)
      expect(await readFile(last.files.report, 'utf8')).not.toMatch(/NaN|undefined/)
    } finally {
      vi.unstubAllEnvs()
      await stub.close()
    }
  })

  it('completes, judges and reports, and computes nothing twice', async () => {
    const events = await run()
    expect(events[0]).toMatchObject({
      event: 'plan',
      base: 'base',
      policies: ['bold', 'blunt'],
      prompts: 4,
      models: 3,
      checkpoints: 0,
      // Of blunt's training nothing is known; letters is the judge
      judges: [
        { name: 'letters', trained: [] },
        { name: 'words', trained: ['bold', 'blunt'] },
      ],
    })
    expect(events[1]).toMatchObject({ code: 'prompts-left-out' })
    expect(events[2]).toMatchObject({
      code: 'training-unknown',
      message: expect.stringMatching(/^words is given as --reward, and no run says what blunt learned from/),
    })
    // Progress is of all models together, and comes while one of them works: 3 models, 4 prompts, 2 completions
    const made = events.flatMap((event) => (event.event === 'progress' && event.work === 'generating' ? [event] : []))
    expect(new Set(made.map(({ total }) => total))).toEqual(new Set([24]))
    expect(made.map(({ done }) => done)).toEqual(made.map(({ done }) => done).toSorted((a, b) => a - b))
    expect(made.filter(({ done, from }) => done > from! && done < from! + 8).length).toBeGreaterThan(6)
    expect(made.at(-1)).toMatchObject({
      of: 'blunt',
      done: 24,
      rest: expect.arrayContaining([{ work: 'judging by words', left: 24 }]),
    })
    const last = events.at(-1)!
    if (last.event !== 'result') throw new Error(last.event)
    const page = await readFile(last.files.report, 'utf8')
    expect(page).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|NaN|undefined/)
    expect(await readdir(last.files.plots)).toContain('win-rates.svg')
    const found = await findings('out')
    whole = { words: found.words, between: found.between }
    expect(found.words.join(' ')).toContain('6 rewards of letters are no number')
    expect(found.between).toHaveLength(2)
    expect(found.between[0]).toMatchObject({ a: 'bold', b: 'blunt', judge: 'letters', prompts: 3 })
    // Both have moved from the base, and it has not moved from itself
    expect(found.policies.map(({ kl }: { kl?: unknown }) => kl === undefined)).toEqual([true, false, false])
    for (const { kl } of found.policies.slice(1)) expect(kl.k3.value).toBeGreaterThan(0)
    expect(progressCount(await run())).toBeLessThan(progressCount(events))
    expect(await findings('out')).toEqual(found)
    const again = await stat(at('out', 'answers'))
    const other = await run({ judge: [at('letters.mjs'), 'end=regex:\\.$'] })
    expect(other.filter((event) => event.event === 'progress' && event.phase === 'generate')).toEqual([])
    expect((await stat(at('out', 'answers'))).mtimeMs).toBe(again.mtimeMs)
  })

  it('continues after a stop to the same findings', async () => {
    const stop = new AbortController()
    const cut = (event: CompareEvent) => event.event === 'progress' && event.phase === 'reward' && stop.abort()
    const first = await run({ output: at('cut') }, cut, stop.signal)
    expect(first.at(-1)).toMatchObject({ event: 'stopped' })
    expect(await readdir(at('cut'))).not.toContain('findings.json')
    await run({ output: at('cut'), judge: [at('letters.mjs')] })
    const { words, between } = await findings('cut')
    expect({ words, between }).toEqual(whole)
  })

  it('has no KL where the tokenizer file differs, and concludes nothing from one prompt', async () => {
    await cp(at('blunt'), at('foreign'), { recursive: true })
    await writeFile(at('foreign', 'tokenizer.json'), `${await readFile(at('blunt', 'tokenizer.json'), 'utf8')}\n`)
    const events = await run({ policies: [at('bold'), at('foreign')], maxSamples: 1, output: at('one') })
    expect(events[1]).toMatchObject({ code: 'other-tokenizer' })
    const found = await findings('one')
    expect(found.policies.map(({ kl }: { kl?: unknown }) => kl === undefined)).toEqual([true, false, true])
    expect(found.words[1]).toContain('One prompt allows no statistics')
  })
})

it('a judge that a model learned from is known, from its run and from those before it', async () => {
  const info = { format: 1, created: '', command: [], versions: {}, machine: {}, resumes: [] }
  const makeInfo = async (name: string, method: string, config: Record<string, unknown>) => {
    await mkdir(at(name, 'adapter'), { recursive: true })
    await writeFile(at(name, 'run.json'), JSON.stringify({ ...info, method, config }))
  }
  await makeInfo('first', 'grpo', { model: at('base'), reward: [`own=${at('words.mjs')}`] })
  await makeInfo('second', 'dpo', { model: at('base'), adapter: at('first', 'adapter') })
  await makeInfo('judged', 'selfreward', { model: at('second'), helper: at('blunt') })
  const learners = await Promise.all(
    ['first', 'second', 'judged'].map(async (name) => ({ name, rewards: await rewardsOf(at(name)) })),
  )
  expect((await trainedOn(at('words.mjs'), true, learners)).trained).toEqual(['first', 'second', 'judged'])
  expect((await trainedOn(`judge:${at('blunt')}`, true, learners)).trained).toEqual(['judged'])
  expect((await trainedOn(at('letters.mjs'), true, learners)).trained).toEqual([])
  const some = [...learners.slice(0, 1), { name: 'model' }]
  expect(await trainedOn(at('words.mjs'), false, some)).toEqual({ trained: ['first', 'model'], assumed: ['model'] })
})

describe('one policy', () => {
  it('is compared with the model before training', async () => {
    // --base is the other name of --sft
    const one = { policies: [`bolder=${at('bold')}`], output: at('alone'), sft: undefined, base: at('base') }
    const events = await run(one)
    expect(events[0]).toMatchObject({ event: 'plan', policies: ['bolder'], models: 2 })
    const found = await findings('alone')
    expect(found.between).toEqual([])
    expect(found.against.map(({ a, b, judge }: Record<string, string>) => [a, b, judge])).toEqual([
      ['bolder', 'base', 'letters'],
      ['bolder', 'base', 'words'],
    ])
    expect(found.words[1]).toMatch(/bolder.* base.*letters \d+ %/)
    expect(found.words).toContainEqual(expect.stringMatching(/^bolder has moved .* nats of KL per answer from base\.$/))
    expect(await readdir(at('alone', 'plots'))).not.toContain('win-rates.svg')
  })
})

describe('prompts as chats', () => {
  const turns =
    '{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}'
  const withTemplate = async (name: string) => {
    await cp(at(name), at(`chat-${name}`), { recursive: true })
    for (const dir of [at(`chat-${name}`), at(`chat-${name}`, 'model')])
      await writeFile(join(dir, 'chat_template.jinja'), turns).catch(() => {})
    return at(`chat-${name}`)
  }

  it('follow the runs, unless a flag says otherwise', async () => {
    const [sft, bold] = await Promise.all(['base', 'bold'].map(withTemplate))
    const info = JSON.parse(await readFile(join(bold, 'run.json'), 'utf8'))
    await writeFile(join(bold, 'run.json'), JSON.stringify({ ...info, config: { ...info.config, chat: true } }))
    const shown = async (output: string, more: Record<string, unknown>) => {
      const policies = [bold]
      const events = await run({
        sft,
        policies,
        samples: 1,
        maxNewTokens: 2,
        maxSamples: 2,
        output: at(output),
        ...more,
      })
      const page = await readFile(at(output, 'report.html'), 'utf8')
      return { asChat: page.includes('user: Once upon a time'), events }
    }
    expect((await shown('as-run', {})).asChat).toBe(true)
    expect((await shown('as-plain', { chat: false })).asChat).toBe(false)
    // A run on plain prompts beside it is named
    await cp(bold, at('plain-run'), { recursive: true })
    await makeModel(at('plain-run', 'model'), 2)
    await writeFile(at('plain-run', 'model', 'chat_template.jinja'), turns)
    const warned = async (plain_rows: number | undefined) => {
      await writeFile(at('plain-run', 'run.json'), JSON.stringify({ ...info, plain_rows }))
      return (await shown('mixed', { policies: [bold, at('plain-run')] })).events
    }
    const differs = expect.objectContaining({ code: 'chat-differs' })
    // Of messages, and of an older version
    expect(await warned(0)).not.toContainEqual(differs)
    expect(await warned(undefined)).not.toContainEqual(differs)
    expect(await warned(2)).toContainEqual(
      expect.objectContaining({
        code: 'chat-differs',
        message: expect.stringMatching(/^chat-bold learned from chats, and plain-run from plain rows/),
      }),
    )
  })
})

describe('bad input is refused before anything is written', () => {
  it.each<[string, () => Record<string, unknown>, RegExp]>([
    ['a policy twice', () => ({ policies: [at('blunt'), `other=${at('blunt')}`] }), /same weights as blunt/],
    [
      'the model before training itself',
      () => ({ policies: [`a=${at('base')}`, at('blunt')] }),
      /same weights as base, the model before training/,
    ],
    ['one name twice', () => ({ policies: [at('blunt'), `blunt=${at('bold')}`] }), /is the name of two models/],
    [
      'other numbers of runs',
      () => ({ policies: [at('blunt'), `b=${at('bold')},${at('base')}`] }),
      /give as many of each/,
    ],
    [
      'no model before training',
      () => ({ sft: undefined }),
      /--base.*is required: the model before training.* the name of a run$/,
    ],
    ['two models before training', () => ({ base: at('blunt') }), /another name of --base/],
    ['nobody who judges', () => ({ reward: undefined, judge: undefined }), /nobody judges/],
    ['two judges of a name', () => ({ judge: [at('words.mjs')] }), /two judges are called words/],
    ['no such model', () => ({ policies: [at('nobody'), at('blunt')] }), /nobody/],
    ['no such judge', () => ({ judge: [at('nobody.mjs')] }), /nobody\.mjs/],
    ['a model without a score head', () => ({ judge: [at('base')] }), /base/],
    ['no room for answers', () => ({ maxNewTokens: 600 }), /none of 5 prompts leaves room/],
  ])('%s', async (_, more, message) => {
    const tried = run({ output: at('refused'), ...more() })
    await expect(tried).rejects.toMatchObject({ exitCode: 2 })
    await expect(tried).rejects.toThrow(message)
    await expect(stat(at('refused'))).rejects.toThrow()
  })

  it('a conversation that a template refuses, that of a model or of a judge', async () => {
    const turn = [{ role: 'user', content: 'hi' }]
    const rows = [turn, [{ role: 'system', content: 'be nice' }, ...turn]].map((prompt) => ({ prompt }))
    await writeFile(at('chats.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    await cp(at('base'), at('strict'), { recursive: true })
    const template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}hi"
    await writeFile(at('strict', 'chat_template.jinja'), template)
    const refused = {
      exitCode: 2,
      code: 'template',
      message: expect.stringMatching(/chats\.jsonl, line 2, row 1: .*no system role$/),
    }
    const data = [at('chats.jsonl')]
    const strict = await openBase(at('strict'))
    await expect(readPrompts(settingsOf({ data }), [strict], [])).rejects.toMatchObject(refused)
    // The other models have no template
    const tried = run({ sft: at('strict'), data, output: at('refused') })
    await expect(tried).rejects.toMatchObject({ code: 'no-template' })
    await expect(tried).rejects.toThrow(/row 0: "blunt" cannot read it/)
    await expect(stat(at('refused'))).rejects.toThrow()
    const base = await openBase(at('base'))
    const requirePrompt: Judge['requirePrompt'] = ({ prompt }) => {
      if (prompt.length > 1) throw badInput('template', 'no system role')
    }
    const reading = { ...base, tokenization: { ...base.tokenization, encoder: { ...characters } } }
    await expect(readPrompts(settingsOf({ data }), [reading], [{ requirePrompt }])).rejects.toMatchObject(refused)
  })

  it('prompts that repeat others, with a warning', async () => {
    await writeFile(
      at('again.jsonl'),
      ['a', 'b', 'a', 'a'].map((prompt) => `{"prompt": "${prompt}", "q": "${prompt}"}\n`).join(''),
    )
    const settings = settingsOf({ data: [at('again.jsonl')] })
    const { warnings } = await readPrompts(settings, [await openBase(at('base'))], [])
    expect(warnings).toMatchObject([{ code: 'repeated-prompts', message: expect.stringMatching(/^2 of 4 prompts/) }])
  })

  it('prompts of too few kinds, and of none', async () => {
    await writeFile(at('kinds.jsonl'), '{"prompt": "One day", "kind": "a"}\n{"prompt": "The dog", "kind": "b"}\n')
    const data = [at('kinds.jsonl')]
    await expect(run({ data, cluster: 'kind' })).rejects.toThrow(
      '--cluster: puts the prompts into 2 clusters; with fewer than 6 no test can find a difference; take a column that parts them finer, or leave it out',
    )
    await expect(run({ data, cluster: 'topic' })).rejects.toThrow(/topic.*is not there; columns are prompt, kind/)
  })

  it('no prompts, and a folder of something else', async () => {
    await writeFile(at('empty.jsonl'), '')
    await expect(run({ data: [at('empty.jsonl')] })).rejects.toMatchObject({ exitCode: 2 })
    await mkdir(at('letters'))
    await writeFile(at('letters', 'diary.txt'), '')
    await expect(run({ output: at('letters') })).rejects.toThrow(/holds diary.txt and is no comparison/)
    await expect(run({ output: at('words.mjs') })).rejects.toThrow(/is a file/)
  })
})
