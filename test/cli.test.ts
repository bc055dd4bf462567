/**
 * The command line on the built package: stdout, stderr and exit codes. `attune` is a process of its own; `warm` runs the command
 * in a process that stays, which gives the same and costs a tenth.
 */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWarm } from './support/warm.ts'

const bin = fileURLToPath(new URL('../bin/attune.js', import.meta.url))
const staying = openWarm()
let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'attune-cli-'))
})
afterAll(() => {
  staying.close()
  rmSync(dir, { recursive: true })
})

const attune = (...argv: string[]) => attuneWith({}, ...argv)

const attuneWith = (more: NodeJS.ProcessEnv, ...argv: string[]) => {
  const env = { ...process.env, XDG_CACHE_HOME: join(dir, 'cache'), ...more }
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...argv], { cwd: dir, env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

const warm = async (...argv: string[]) => {
  const { code: status, stdout, stderr } = await staying.run(argv, join(dir, 'cache'), dir)
  return { status, stdout, stderr }
}

const fakeRun = (name: string, events: number) => {
  const run = join(dir, 'attune-runs', name)
  mkdirSync(run, { recursive: true })
  const info = { format: 1, method: 'sft', created: '2025-01-01', command: [], config: { model: 'm' }, versions: {} }
  writeFileSync(join(run, 'run.json'), JSON.stringify({ ...info, machine: {}, resumes: [] }))
  const line = (i: number) => `${JSON.stringify({ event: 'step', step: i + 1, loss: 1 / (i + 1) })}\n`
  writeFileSync(join(run, 'events.jsonl'), Array.from({ length: events }, (_, i) => line(i)).join(''))
}

describe('attune --help', () => {
  it('loads neither the engine nor the schemas', () => {
    // A sampled profile names the files whose code ran, so it lists all that take milliseconds to load
    const profileOf = (...argv: string[]) => {
      const flags = ['--cpu-prof', '--cpu-prof-name=help.cpuprofile', '--cpu-prof-interval=200']
      expect(spawnSync(process.execPath, [...flags, bin, ...argv], { cwd: dir }).status).toBe(0)
      return readFileSync(join(dir, 'help.cpuprofile'), 'utf8')
    }
    expect(profileOf('sft', '--help')).toContain('node_modules/zod')
    const profile = profileOf('--help')
    for (const heavy of ['onnxruntime', 'node_modules/zod', '/passes/'])
      expect(profile.includes(heavy), heavy).toBe(false)
  })

  it('lists the commands, as attune without a command does', async () => {
    const { status, stdout, stderr } = attune('--help')
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/sft .*\n.*dpo /)
    expect((await warm()).stdout).toBe(stdout)
    expect((await warm('help', 'sft')).stdout).toBe((await warm('sft', '-h')).stdout)
    expect((await warm('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('attune data', () => {
  const write = (name: string, text: string) => writeFileSync(join(dir, name), text)

  it('shows kind, delimiter, lengths, uses with their drops, and a row', () => {
    write('votes.csv', 'prompt;completion;label\nWhy?;"So; yes";1\nWhy?;No;0\nWhy?;No;0\n')
    const { status, stdout, stderr } = attune('data', 'votes.csv')
    expect([status, stderr]).toEqual([0, ''])
    for (const line of [
      /^votes\.csv: 3 rows with a response and whether it is good \(format: unpaired; fields are parted by a semicolon \(;\)\)$/m,
      /^prompt +4 +4 +4$/m,
      /^sft +1 row; dropped: undesirable: 2$/m,
      /^dpo +not yet: 1 prompt with good and bad answers, which --to preference or --to ranking$/m,
      /^kto +3 rows$/m,
      /^ {2}completion: So; yes$/m,
      /^1 row the same as an earlier one \(row 2 as row 1\)$/m,
    ])
      expect(stdout).toMatch(line)
  })

  it('writes another kind of rows whole, never over a file, and nothing where a row does not fit', async () => {
    write('ranked.jsonl', '{"prompt":"q","responses":["a","b"],"ranks":[2,1]}\n')
    expect(await warm('data', 'ranked.jsonl', '--to', 'preference', '--output', 'pairs.jsonl')).toEqual({
      status: 0,
      stdout: 'pairs.jsonl: 1 preference row from 1 record\n',
      stderr: '',
    })
    const written = '{"prompt":"q","chosen":"b","rejected":"a"}\n'
    expect(readFileSync(join(dir, 'pairs.jsonl'), 'utf8')).toBe(written)
    const again = await warm('data', 'ranked.jsonl', '--to', 'sft', '--output', 'pairs.jsonl')
    expect([again.status, again.stderr]).toEqual([2, 'error: pairs.jsonl: exists already; choose another --output\n'])
    expect(readFileSync(join(dir, 'pairs.jsonl'), 'utf8')).toBe(written)
    write(
      'three.jsonl',
      `${'{"prompt":"q","responses":["a","b"],"ranks":[2,1]}\n'}{"prompt":"q","responses":["a","b","c"],"ranks":[1,2,3]}\n`,
    )
    const refused = await warm('data', 'three.jsonl', '--to', 'preference', '--output', 'none.jsonl')
    expect([refused.status, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toMatch(/three\.jsonl, line 2, row 1: holds 3 responses, and a preference two/)
    expect(readdirSync(dir).filter((name) => name.startsWith('none.jsonl'))).toEqual([])
    const [, advised] = /attune (import three\.jsonl .*)/.exec(refused.stderr)!
    expect(await warm(...advised.split(' '))).toMatchObject({ status: 0, stderr: '' })
    expect(readFileSync(join(dir, 'PAIRS.jsonl'), 'utf8').trim().split('\n')).toHaveLength(4)
  })

  it('writes a prompt once, however many answers it has', async () => {
    const rows = [1, 2, 3].map((i) => `{"prompt":"${i < 3 ? 'same' : 'other'}","completion":"${i}","label":true}\n`)
    write('answers.jsonl', rows.join(''))
    const { stdout } = await warm('data', 'answers.jsonl', '--to', 'prompt', '--output', 'asked.jsonl')
    expect(stdout).toBe('asked.jsonl: 2 prompt rows from 3 records; dropped: repeated-prompt: 1\n')
    expect(readFileSync(join(dir, 'asked.jsonl'), 'utf8')).toBe('{"prompt":"same"}\n{"prompt":"other"}\n')
  })
})

describe('attune data --split', () => {
  it('writes two files, and nothing over a file that is there', async () => {
    writeFileSync(join(dir, 'five.jsonl'), [1, 2, 3, 4, 4].map((i) => `{"text":"t${i}","by":"me"}\n`).join(''))
    const split = () => warm('data', 'five.jsonl', '--split', '0.4', '--output', 'part.jsonl')
    const { status, stdout, stderr } = await split()
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^part\.jsonl: 3 rows of \d prompts\npart-held-out\.jsonl: 2 rows of \d prompts?\n$/)
    const lines = ['part.jsonl', 'part-held-out.jsonl'].map((name) => readFileSync(join(dir, name), 'utf8'))
    expect(lines.join('').trimEnd().split('\n').sort()).toEqual(
      [1, 2, 3, 4, 4].map((i) => `{"text":"t${i}","by":"me"}`),
    )
    rmSync(join(dir, 'part.jsonl'))
    const again = await split()
    expect([again.status, again.stderr]).toEqual([
      2,
      'error: part-held-out.jsonl: exists already; choose another --output\n',
    ])
    expect(readdirSync(dir)).not.toContain('part.jsonl')
  })

  it('writes both files as rows of another kind with --to', async () => {
    writeFileSync(
      join(dir, 'desk.csv'),
      `Question,Good,Bad\n${[1, 2, 3, 4].map((i) => `q${i},g${i},b${i}\n`).join('')}`,
    )
    const columns = ['--column', 'prompt=Question', 'chosen=Good', 'rejected=Bad', '--chat']
    const to = ['--to', 'preference', '--split', '0.25', '--output', 'desk.jsonl']
    const { status, stdout, stderr } = await warm('data', 'desk.csv', ...columns, ...to)
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toBe(
      '4 preference rows from 4 records\ndesk.jsonl: 3 rows of 3 prompts\ndesk-held-out.jsonl: 1 row of 1 prompt\n',
    )
    const rows = ['desk.jsonl', 'desk-held-out.jsonl'].flatMap((name) =>
      readFileSync(join(dir, name), 'utf8').trimEnd().split('\n'),
    )
    expect(rows.map((row) => JSON.parse(row).chosen[0].content).sort()).toEqual(['g1', 'g2', 'g3', 'g4'])
  })
})

describe('attune check', () => {
  const checking = (rows: string, ...flags: string[]) => {
    writeFileSync(join(dir, 'check.jsonl'), rows)
    const model = fileURLToPath(new URL('fixtures/models/stories260K', import.meta.url))
    return ['check', '--model', model, '--data', 'check.jsonl', ...flags]
  }
  const check = (rows: string, ...flags: string[]) => warm(...checking(rows, ...flags))

  it('shows what is learnt in brackets where there are no colours, and ends with 0', async () => {
    const { status, stdout, stderr } = await check('{"prompt": "A dog", "completion": " ran."}\n', '--for', 'sft')
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toContain('<s> A dog[ ran.</s>]\n')
    expect(stdout).toContain('nothing is wrong')
  })

  it('ends with 2 and names the findings where the run would be ruined', () => {
    const pair = '{"prompt": "A dog", "chosen": " ran.", "rejected": " ran."}\n'
    const { status, stdout, stderr } = attune(...checking(pair, '--for', 'dpo', '--json'))
    expect(status).toBe(2)
    expect(stderr).toBe('error: this run would be ruined: equal-replies\n')
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ event }) => event)).toEqual(['row', 'finding', 'check'])
    expect(lines[1]).toMatchObject({ code: 'equal-replies', severity: 'ruins', count: 1, of: 1, first: { row: 0 } })
    expect(lines[2]).toMatchObject({ rows: 1, used: 1, ok: false })
  })

  it('takes the flags of the method, and estimates its time and memory by a trial that leaves nothing', () => {
    const pair = (animal: string) =>
      `{"prompt": "A ${animal}", "chosen": " ran to a ${animal}.", "rejected": " sat."}\n`
    const rows = ['dog', 'cat', 'bird', 'fish'].map(pair).join('')
    const temporary = join(dir, 'temporary')
    mkdirSync(temporary)
    const flags = ['--for', 'dpo', '--rows', '0', '--lora-r', '2', '--batch-size', '2', '--epochs', '5', '--json']
    const { status, stdout, stderr } = attuneWith({ TMPDIR: temporary }, ...checking(rows, ...flags, '--estimate'))
    // Ten tiny steps take less time than a model to load: a second trial would take longer than the run
    expect([status, stderr]).toEqual([0, '  making 3 steps of attune dpo\n'])
    const { estimate } = JSON.parse(stdout.trim().split('\n').at(-1)!)
    const keys = ['seconds_per_step', 'steps', 'seconds', 'peak_bytes', 'peak_is_least', 'of_bytes']
    expect(Object.keys(estimate)).toEqual(keys)
    expect(estimate.steps).toBe(10)
    expect(estimate.seconds).toBeGreaterThan(10 * estimate.seconds_per_step)
    expect(estimate.peak_bytes).toBeGreaterThan(5e7)
    expect(readdirSync(temporary)).toEqual([])
  })

  it('ends with 2 where the run would be refused, and refuses flags that the method has not', async () => {
    const rows = '{"prompt": "A dog", "completion": " ran."}\n{"prompt": "A cat", "completion": " sat."}\n'
    const refused = await check(rows, '--for', 'sft', '--rows', '0', '--quantize', 'nf4', '--estimate')
    expect(refused.status).toBe(2)
    expect(refused.stderr).toContain('error: attune sft would not begin: --quantize: nf4 weights cannot be trained')
    expect((await check(rows, '--for', 'sft', '--beta', '1')).stderr).toContain(
      'error: --beta: is not a flag of attune check',
    )
  })
})

describe('a wrong command line exits with 2, one message on stderr and nothing on stdout', () => {
  it.each([
    [['trian'], 'error: "trian" is not a command'],
    [['dop'], 'did you mean dpo?'],
    [['--hepl'], 'did you mean --help?'],
    [['dpo', '--modle', 'm'], '--modle: is not a flag of attune dpo; did you mean --model?'],
    [['sft', '--data', 'd', '--model', 'm', '--optimizer', 'adm'], '--optimizer: "adm" is none of'],
    [['foo'], '"foo" is not a command; attune --help lists them'],
    [['dpo', '--lr', '1'], '--lr: is not a flag of attune dpo; here it is --learning-rate'],
    [['dpo', '--foo'], '--foo: is not a flag of attune dpo; attune dpo --help lists them'],
    [['inspect', '--model', 'no/such/model'], 'no/such/model'],
    [['inspect', 'a', '--model', 'b'], '--model: is given twice'],
    [['sft', '--data', 'd'], '--model: is required'],
    [['inspect', 'no/such/model'], 'no/such/model'],
    [['data'], 'FILE: is required: files of rows'],
    [['data', 'no/such.csv'], 'no/such.csv: cannot be read (ENOENT)'],
    [
      ['data', 'a.csv', '--output', 'b.jsonl'],
      '--output: needs --to, one of preference, ranking, sft, kto, prompt, or --split',
    ],
    [['data', 'a.csv', '--max-length', '9'], '--max-length: counts tokens, so it needs --model'],
    [['data', 'a.csv', '--to', 'kto'], '--to: needs --output FILE.jsonl'],
    [['data', 'a.csv', '--split', '0.2'], '--split: needs --output FILE.jsonl'],
    [['data', 'a.csv', '--split', '2', '--output', 'b.jsonl'], '--split: 2 is too large'],
    [
      ['data', 'a.csv', '--split', '0.2', '--chat', '--output', 'b.jsonl'],
      '--split: writes rows as they are; leave --chat out, or give --to',
    ],
    [
      ['data', 'a.csv', '--to', 'kto', '--model', 'm', '--output', 'b.jsonl'],
      '--model: --to has no use for a model: rows are written whole, as texts and messages, and training adds the chat template of its model; leave --model out, and see lengths in tokens with attune data b.jsonl --model m\n',
    ],
    [
      ['data', 'a.csv', '--split', '0.2', '--max-length', '9', '--output', 'b.jsonl'],
      '--max-length: --split has no use for a length',
    ],
    [['data', 'a.csv', '--seed', '1'], '--seed: is of --split'],
    [['data', 'a.csv', '--to', 'kto', '--output', 'b.csv'], '--output: must end in .jsonl'],
    [['runs', 'show', 'nothing'], 'nothing: there is no run of this name'],
    [['sft', '--config', 'none.yaml'], 'none.yaml: cannot be read'],
  ])('%j', async (argv, message) => {
    const { status, stdout, stderr } = await warm(...argv)
    expect(stderr).toContain(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect([status, stdout]).toEqual([2, ''])
  })

  it('as a process and in one that stays alike', async () => {
    for (const argv of [['trian'], ['dpo', '--modle', 'm'], ['data', 'no/such.csv'], ['runs', 'show', 'nothing']])
      expect(await warm(...argv)).toEqual(attune(...argv))
  })
})

describe('attune runs', () => {
  it('lists, shows and deletes runs, as text and as JSON', async () => {
    expect((await warm('runs')).stdout).toMatch(/^no runs in attune-runs or elsewhere below this folder; --root DIR /)
    fakeRun('one', 3)
    fakeRun('two', 3)
    expect(attune('runs', 'list').stdout).toMatch(
      /^run +method +state.*\none +sft +broken off +3\/3 +training loss 0\.3333/,
    )
    const lines = (await warm('runs', '--json')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toMatchObject([{ name: 'one', steps: 3 }, { name: 'two' }])
    expect((await warm('runs', 'show', 'two')).stdout).toContain('broken off, 3 of 3 steps')
    const unasked = attune('runs', 'delete', 'two')
    expect([unasked.status, unasked.stderr]).toEqual([2, expect.stringContaining('--yes: is needed to delete 1 run')])
    expect((await warm('runs', 'delete', 'two', '--yes')).status).toBe(0)
    expect((await warm('runs', '--json')).stdout.trim().split('\n')).toHaveLength(1)
  })

  it('finds runs that --output put elsewhere', async () => {
    fakeRun('here', 2)
    cpSync(join(dir, 'attune-runs', 'here'), join(dir, 'work', 'runs', 'there'), { recursive: true })
    mkdirSync(join(dir, 'other'))
    writeFileSync(join(dir, 'other', 'run.json'), '{"of": "another program"}')
    expect((await warm('runs')).stdout).toMatch(/^work\/runs\/there +sft/m)
    expect((await warm('runs')).stdout).not.toContain('other')
    expect((await warm('runs', 'list', '--root', 'attune-runs/none')).stdout).toBe('no runs in attune-runs/none\n')
    expect((await warm('runs', 'show', 'there')).stderr).toContain('did you mean work/runs/there?')
    expect((await warm('runs', 'show', 'work/runs/there')).status).toBe(0)
    rmSync(join(dir, 'work'), { recursive: true })
  })

  it('exits quietly when its stdout is closed', async () => {
    fakeRun('long', 20_000)
    const child = spawn(process.execPath, [bin, 'runs', 'show', 'long', '--events'], { cwd: dir })
    let stderr = ''
    child.stderr.on('data', (text) => (stderr += text))
    child.stdout.once('data', () => child.stdout.destroy())
    const status = await new Promise((resolve) => child.on('exit', resolve))
    expect([status, stderr]).toEqual([0, ''])
  })
})

describe('a model of random weights and rows of token ids', () => {
  const jsonl = (name: string, rows: object[]) =>
    writeFileSync(join(dir, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const lines = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  const json = async (...argv: string[]) => {
    const { status, stdout, stderr } = await warm(...argv, '--json')
    expect(status, stderr).toBe(0)
    return lines(stdout)
  }
  const weights = (run: string) => readFileSync(join(dir, run, 'model', 'model.safetensors')).toString('base64')
  const long = ['sft', '--model', 'tiny', '--data', 'ids.jsonl', '--batch-size', '2', '--learning-rate', '1e-2']

  beforeAll(async () => {
    const sizes = {
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      vocab_size: 32,
    }
    const llama = {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      max_position_embeddings: 64,
      rms_norm_eps: 1e-5,
    }
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...llama, ...sizes, eos_token_id: 1 }))
    const ids = (i: number, n: number) => Array.from({ length: n }, (_, t) => 2 + ((i + t) % 30))
    jsonl(
      'ids.jsonl',
      Array.from({ length: 16 }, (_, i) => ({ input_ids: ids(i, 12) })),
    )
    jsonl(
      'pairs.jsonl',
      Array.from({ length: 4 }, (_, i) => ({ prompt: ids(i, 4), chosen: ids(i, 3), rejected: ids(i + 9, 5) })),
    )
    jsonl('prompts.jsonl', [{ prompt: [2, 3, 4] }, { prompt: [9] }])
    const [made] = await json('init', '--config', 'config.json', '--output', 'tiny')
    expect(made).toMatchObject({
      model: 'tiny',
      parameters: 2 * 32 * 16 + 2 * (4 * 16 * 16 + 3 * 16 * 32 + 2 * 16) + 16,
    })
  })

  it('sft --json prints only events on stdout and leaves the run folder that they describe', async () => {
    const { status, stdout, stderr } = attune(...long, '--max-steps', '3', '--output', 'short', '--json')
    expect(status, stderr).toBe(0)
    const events = lines(stdout)
    expect(events.map(({ event }) => event).filter((name) => name !== 'progress')).toEqual([
      'start',
      // The rows have no end token
      'warning',
      'step',
      'step',
      'step',
      'checkpoint',
      'end',
    ])
    expect(events.at(-1)).toMatchObject({ steps: 3, stopped: 'done', output: join(dir, 'short', 'model') })
    expect((await warm(...long, '--output', 'short')).stderr).toContain('already holds a run')
    expect((await json('runs', 'show', 'short'))[0]).toMatchObject({ state: 'done', steps: 3, run: { method: 'sft' } })
  })

  it('sft interrupted by SIGINT exits with 130 and resumes to the weights of an uninterrupted run', async () => {
    const steps = ['--max-steps', '40', '--epochs', '100']
    const child = spawn(process.execPath, [bin, ...long, ...steps, '--output', 'cut', '--json'], { cwd: dir })
    let stdout = ''
    child.stdout.on('data', (text) => {
      const before = stdout.includes('"event":"step"')
      stdout += text
      // Only once: a second signal would end it without a checkpoint
      if (!before && stdout.includes('"event":"step"')) child.kill('SIGINT')
    })
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(130)
    const { steps: done, stopped } = lines(stdout).at(-1)
    expect(stopped).toBe('interrupted')
    expect(done).toBeLessThan(40)
    expect((await warm('runs', 'resume', 'cut')).stderr).toMatch(/done +40 steps/)
    await json(...long, ...steps, '--output', 'uncut')
    expect(weights('cut') === weights('uncut')).toBe(true)
    const other = await warm(...long, ...steps, '--output', 'cut', '--resume', '--seed', '7')
    expect(other.stderr).toContain('--seed: was 42')
  })

  it('score gives the log-probs that generate gave, with a run as --model', async () => {
    const made = await json(
      'generate',
      '--model',
      'uncut',
      '--data',
      'prompts.jsonl',
      '--temperature',
      '0',
      '--max-new-tokens',
      '5',
    )
    expect(made.map(({ prompt }) => prompt)).toEqual([[2, 3, 4], [9]])
    jsonl(
      'made.jsonl',
      made.map(({ prompt, ids }) => ({ prompt, completion: ids })),
    )
    for (const [row, { token_logps, tokens, logp }] of (
      await json('score', '--model', 'uncut', '--data', 'made.jsonl')
    ).entries()) {
      expect(tokens).toBe(made[row].ids.length)
      for (const [t, value] of token_logps.entries()) expect(value).toBeCloseTo(made[row].logps[t], 4)
      expect(logp).toBeCloseTo(
        token_logps.reduce((a: number, b: number) => a + b),
        6,
      )
    }
  })

  it('merge merges the adapter of a dpo run', async () => {
    const events = await json('dpo', '--model', 'tiny', '--data', 'pairs.jsonl', '--lora-r', '2', '--max-steps', '2')
    expect(events.find(({ event }) => event === 'step').loss).toBeCloseTo(Math.LN2, 6)
    await json('merge', '--model', 'dpo-1', '--output', 'merged')
    expect((await json('inspect', 'merged'))[0].parameters).toEqual((await json('inspect', 'tiny'))[0].parameters)
    expect((await json('inspect', 'dpo-1'))[0].parameters.trainable).toBeLessThan(2000)
  })
})

it('attune without dist/ says to run npm run build', () => {
  cpSync(bin, join(dir, 'bin', 'attune.mjs'))
  const { status, stderr } = spawnSync(process.execPath, [join(dir, 'bin', 'attune.mjs')], { encoding: 'utf8' })
  expect([status, stderr]).toEqual([1, 'error: attune is not built yet; run `npm run build` first\n'])
})
