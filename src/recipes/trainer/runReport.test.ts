import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { LoggedEvent } from '../../runs/log.node.ts'
import type { RunInfo } from '../../runs/run.node.ts'
import { changeText } from './headline.ts'
import { hasChatTemplate } from './runPage.ts'
import { type RunFacts, runReport } from './runReport.ts'

const info: RunInfo = {
  format: 2,
  method: 'dpo',
  created: '2026-01-02T03:04:05.678Z',
  command: ['attune', 'dpo', '--data', "it's.jsonl"],
  config: { model: '/home/somebody/models/small', output: 'runs/a', learningRate: 1e-5, epochs: 3, resume: false },
  versions: {},
  machine: {},
  resumes: [],
}
const step = (n: number, loss: number): LoggedEvent => ({ event: 'step', step: n, total_steps: 3, loss, grad_norm: 1 })
const run: RunFacts = {
  name: 'a',
  info,
  steps: 3,
  totalSteps: 3,
  state: 'done',
  result: { kind: 'model', path: 'runs/a/model' },
  events: [step(1, 0.7), step(2, 0.5), step(3, 0.4)],
  defaults: { epochs: 3 },
  chats: false,
  links: true,
  files: ['run.json', 'model', 'secret.txt'],
}
const page = (facts: Partial<RunFacts> = {}) => runReport({ ...run, ...facts })

describe('the page of a run', () => {
  let root: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'attune-began-'))
    for (const folder of ['sft2', 'small/model']) await mkdir(join(root, folder), { recursive: true })
    await writeFile(join(root, 'sft2', 'run.json'), '{}')
  })
  afterAll(() => rm(root, { recursive: true }))

  it('says what changed, of which model, and which settings are not the defaults', () => {
    const text = page()
    expect(text).toContain('<h1>dpo: training loss 0.7000 → 0.4000</h1>')
    expect(text).toContain('small after 3 steps')
    const settings = text.slice(text.indexOf('not the defaults'), text.indexOf('All settings'))
    expect(settings).toContain('--learning-rate')
    expect(settings).not.toContain('epochs')
    expect(text).not.toContain('secret.txt')
    expect(page()).toBe(text)
  })

  it('names the run or the adapter that it began from', () => {
    const from = (config: object) => page({ info: { ...info, config: { ...info.config, ...config } } })
    expect(from({ adapter: join(root, 'sft2/adapter') })).toContain(
      '<p class="lead">small, as the run sft2 left it, after 3 steps',
    )
    expect(from({ adapter: 'adapters/tone' })).toContain('small with the adapter adapters/tone after 3 steps')
    expect(from({ model: join(root, 'sft2/model') })).toContain(
      '<p class="lead">The model of the run sft2 after 3 steps',
    )
    expect(from({ model: 'HuggingFaceTB/SmolLM2' })).toContain('<p class="lead">HuggingFaceTB/SmolLM2 after 3 steps')
  })

  it('takes no folder for that of a run, whose run.json is not there', () => {
    const model = join(root, 'small/model')
    const text = page({ info: { ...info, config: { ...info.config, model, evalData: ['held.jsonl'] } } })
    expect(text).toContain('<p class="lead">model after 3 steps')
    expect(text).toContain(`attune compare runs/a --base ${model} --data held.jsonl`)
  })

  it('finds the run that it began from, read in another folder', () => {
    const moved = { config: { ...info.config, model: 'sft2/model' }, places: { model: join(root, 'sft2/model') } }
    expect(page({ info: { ...info, ...moved } })).toContain('<p class="lead">The model of the run sft2 after')
  })

  it('says once what the run and its method are both called', () => {
    expect(page()).toContain('<p class="kicker">attune dpo · a</p>')
    const text = page({ name: 'dpo' })
    expect(text).toContain('<title>attune dpo</title>')
    expect(text).toContain('<p class="kicker">attune dpo</p>')
  })

  it('says of how many held-out rows an accuracy is, and how surely it is known', () => {
    const accuracy = (n: number, value: number): LoggedEvent => ({
      event: 'eval',
      step: n,
      'eval_rewards/accuracies': value,
    })
    const events = [{ ...step(1, 0.7), 'rewards/accuracies': 0 }, accuracy(1, 0.9), accuracy(3, 1)]
    const text = page({ events, info: { ...info, eval_rows: 20 } })
    expect(text).toContain('preference accuracy 90\u00a0% → 100\u00a0% on 20 held-out rows</h1>')
    expect(text).toContain('is 100 %, and known to lie between 84 % and 100 % (95 % confidence)')
    const loss = { ...accuracy(3, 1), eval_loss: 0.65 }
    const byLoss = page({ events: [...events, loss], info: { ...info, eval_rows: 20 } })
    expect(byLoss).toContain('<h1>dpo: loss 0.6500 on 20 held-out rows</h1>')
    expect(byLoss).toContain('between 84 % and 100 %')
    expect(text).toContain('there are no margins yet')
  })

  it('has no first held-out value of a single evaluation', () => {
    const held = (n: number, eval_loss: number): LoggedEvent => ({ event: 'eval', step: n, eval_loss })
    const row = (...evaluations: LoggedEvent[]) =>
      page({ events: [...run.events, ...evaluations] })
        .match(/<td[^>]*>Loss<\/td>.*?<\/tr>/s)?.[0]
        .match(/0\.\d+/g)
    expect(row(held(3, 0.392))).toEqual(['0.7000', '0.4000', '0.3920'])
    expect(row(held(1, 0.6), held(3, 0.392))).toEqual(['0.7000', '0.4000', '0.6000', '0.3920'])
    expect(page({ events: [...run.events, held(3, 0.392)] })).toContain('There was one evaluation only')
    expect(page({ events: [...run.events, held(1, 0.6), held(3, 0.392)] })).not.toContain('one evaluation only')
  })

  it('says how surely a reward changed on held-out prompts', () => {
    const rewarded = (n: number, eval_reward: number): LoggedEvent => ({
      ...{ event: 'eval', step: n, eval_reward, eval_reward_std: 0.5 },
    })
    const told = (to: number) =>
      page({ events: [rewarded(0, 0.4375), ...run.events, rewarded(3, to)], info: { ...info, eval_rows: 12 } })
    expect(told(0.5625)).toContain('reward 0.4375 → 0.5625 on 12 held-out rows, too few to tell</h1>')
    expect(told(0.5625)).toContain('between −0.3243 and +0.5743 (95 % confidence): 12 held-out prompts')
    expect(told(1.4375)).toContain('1.438 on 12 held-out rows</h1>')
    expect(told(1.4375)).toContain('between +0.5507 and +1.449 (95 % confidence), by 12 held-out prompts')
    const facts = { metric: 'reward', heldOut: true, from: { step: 0, value: 0.4375 }, to: { step: 3, value: 0.5625 } }
    expect(changeText({ ...facts, difference: { error: 0.2, rows: 12 } })).toBe(
      'held-out reward 0.4375 → 0.5625 (12 prompts: too few to tell)',
    )
    // t(0.975, 11) = 2.201
    expect(changeText({ ...facts, difference: { error: 0.05, rows: 12 } })).toMatch(
      /0\.5625 \(a change of \+0\.0149\d to \+0\.2350 at 95 % confidence\)$/,
    )
  })

  it('compares with the model before all training, through the runs before, and with the run that it went on from', async () => {
    const offered = (model: string) =>
      /attune compare (.*) --data/.exec(
        page({ info: { ...info, config: { ...info.config, model, evalData: ['h'] } } }),
      )![1]
    const ran = async (name: string, model: string, more: object = {}) => {
      await mkdir(join(root, name), { recursive: true })
      await writeFile(join(root, name, 'run.json'), JSON.stringify({ config: { model, ...more } }))
      return join(root, name, 'model')
    }
    const [first, second] = ['one', 'two'].map((name) => join(root, name))
    await ran('one', 'owner/chat')
    await ran('two', join(first, 'model'))
    expect(offered(join(second, 'model'))).toBe(`${second} runs/a --base owner/chat`)
    expect(offered('owner/chat')).toBe('runs/a --base owner/chat')
    // Both would be called a
    expect(offered(await ran('a', 'owner/chat'))).toBe(`start=${join(root, 'a')} runs/a --base owner/chat`)
    // Runs that name each other have no beginning
    await ran('one', join(second, 'model'))
    expect(offered(join(second, 'model'))).toContain(' --base ')
  })

  it('offers a comparison on held-out rows, and what follows a training on demonstrations', () => {
    const config = { ...info.config, adapter: join(root, 'sft2/adapter'), evalData: ['held out.jsonl'] }
    expect(page({ info: { ...info, config } })).toContain(
      `attune compare ${join(root, 'sft2')} runs/a --base ${info.config.model} --data &#39;held out.jsonl&#39; --judge JUDGE`,
    )
    expect(page({ info: { ...info, config: { ...config, reward: ['rewards.ts'] } } })).toContain(
      '--reward rewards.ts --judge JUDGE',
    )
    expect(page()).not.toContain('attune compare')
    const sft = page({ info: { ...info, method: 'sft', config: { ...info.config, chat: true } } })
    expect(sft).toContain('attune dpo --model runs/a --data PAIRS.jsonl --chat')
    expect(sft).toContain('attune grpo --model runs/a --data PROMPTS.jsonl --reward REWARD --chat')
    expect(sft).toContain('PAIRS.jsonl, PROMPTS.jsonl and REWARD stand for what you have')
  })

  it('names what to type next, by what the run made', () => {
    expect(page()).toContain('attune generate --model runs/a')
    expect(page({ chats: true })).toContain('attune chat --model runs/a')
    expect(page({ state: 'broken off' })).toContain('attune dpo --output runs/a --resume')
    expect(page({ info: { ...info, method: 'reward' }, chats: true })).toContain('attune score --model runs/a')
  })

  it('shows a warning once, with its last count', () => {
    const warning = (count: number): LoggedEvent => ({ event: 'warning', code: 'no-signal', message: 'equal', count })
    const text = page({ events: [...run.events, warning(1), warning(7)] })
    expect(text.match(/no-signal/g)).toHaveLength(1)
    expect(text).toContain('equal (7 times)')
    expect(page()).not.toContain('Worth knowing')
  })

  it('shows the first and the last completion of a prompt, as text', () => {
    const sample = (n: number, completion: string): LoggedEvent => ({
      event: 'sample',
      step: n,
      prompt: 'Say',
      completion,
    })
    const text = page({ events: [...run.events, sample(1, 'one'), sample(2, 'two'), sample(3, '<script>three')] })
    expect(text).toContain('&#60;script&#62;three')
    expect(text).not.toContain('<script')
    expect(text).toContain('>one<')
    expect(text).not.toContain('>two<')
  })

  it('stands without any step, and links to the calibration only from the folder', () => {
    expect(page({ events: [], steps: 0, state: 'broken off', result: undefined })).toContain('No step was made yet')
    const files = ['calibration.html']
    expect(page({ files })).toContain('<a href="calibration.html">')
    expect(page({ files, links: false })).not.toContain('<a href')
  })
})

describe('a chat template', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'attune-page-'))
  })
  afterEach(() => rm(root, { recursive: true }))
  const has = (...names: string[]) => {
    const model_files = names.map((name) => ({ path: name, absolute: join(root, name), sha256: 'a' }))
    return hasChatTemplate({ ...info, model_files })
  }

  it('is found in a file of its own or in the configuration of the tokenizer', async () => {
    expect(await has('config.json', 'chat_template.jinja')).toBe(true)
    expect(await has('config.json', 'tokenizer_config.json')).toBe(false)
    await writeFile(join(root, 'tokenizer_config.json'), '{"chat_template": null}')
    expect(await has('config.json', 'tokenizer_config.json')).toBe(false)
    await writeFile(join(root, 'tokenizer_config.json'), '{"chat_template": "{{ messages }}"}')
    expect(await has('config.json', 'tokenizer_config.json')).toBe(true)
    // A judge's, not the policy's
    expect(await has('config.json', 'judge/chat_template.jinja')).toBe(false)
    expect(await has()).toBe(false)
  })
})
