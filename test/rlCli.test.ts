/** RL commands as processes: their output, and Ctrl-C during a rollout. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { errorOf, logOf, type StartOptions, start, stories, weightsOf } from './support/runs.ts'

// Five processes, possibly on a busy machine
vi.setConfig({ testTimeout: 240_000 })

const root = mkdtempSync(join(tmpdir(), 'attune-rl-'))
const at = (name: string) => join(root, name)
afterAll(() => rmSync(root, { recursive: true }))

const prompts = ['Lily saw a dog.', 'Tom had a ball.', 'Max sat down.'].map((prompt) => ({ prompt }))
writeFileSync(at('prompts.jsonl'), prompts.map((row) => JSON.stringify(row)).join('\n'))
const letters = (text: string) => text.split('e').length - 1
writeFileSync(
  at('letters.mjs'),
  `export default (rows) => rows.map(({ completion }) => completion.split('e').length - 1)`,
)
const common = ['--model', stories, '--data', at('prompts.jsonl'), '--reward', at('letters.mjs'), '--threads', '1']

const attune = (argv: readonly string[], options: Partial<StartOptions> = {}) =>
  start([...argv, '--json'], { cache: at('cache'), ...options })

const eventsOf = (stdout: string): Record<string, unknown>[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

it('best-of-n prints the best completion of each prompt, and what the best of fewer samples would give', async () => {
  const tries = ['--num-generations', '4', '--max-new-tokens', '16']
  const { code, stdout, stderr } = await attune(['best-of-n', ...common, ...tries])
  expect(code, stderr).toBe(0)
  const events = eventsOf(stdout)
  const rows = events.slice(0, -1)
  expect(rows.map(({ prompt }) => ({ prompt }))).toEqual(prompts)
  for (const { completion, reward } of rows) expect(reward).toBe(letters(completion as string))
  const { table, failed } = events.at(-1) as { table: { n: number; reward: number }[]; failed: number }
  expect(failed).toBe(0)
  expect(table.map(({ n }) => n)).toEqual([1, 2, 4])
  expect(table[2].reward).toBeCloseTo(rows.reduce((sum, { reward }) => sum + (reward as number) / 3, 0))
  expect(table[0].reward).toBeLessThan(table[1].reward)
  expect(table[1].reward).toBeLessThan(table[2].reward)
  expect(stderr).toMatch(/^best of +mean reward/m)

  // A pipe gets rows alone, and a note says so
  const piped = await start(['best-of-n', ...common, ...tries], { cache: at('cache') })
  expect(eventsOf(piped.stdout)).toEqual(rows)
  expect(piped.stderr).toMatch(/^stdout is no terminal: results are printed as JSON lines, as with --json$/m)
  expect(stderr).not.toContain('no terminal')

  const refused = await attune(['best-of-n', ...common.slice(0, 4), '--reward', 'nowhere.ts'])
  expect([refused.code, errorOf(refused)[0]]).toEqual([2, expect.stringContaining('nowhere.ts')])
})

/** Sends SIGINT shortly after a file was created. */
const interruptOnce =
  (path: string): StartOptions['watch'] =>
  (kill) => {
    const timer = setInterval(() => {
      if (!existsSync(path)) return
      clearInterval(timer)
      setTimeout(() => kill('SIGINT'), 50)
    }, 1)
    return () => clearInterval(timer)
  }

it('Ctrl-C in a rollout exits with 130, and the resumed run ends with the weights of one that was not stopped', async () => {
  const learning = ['--batch-size', '3', '--num-generations', '2', '--max-new-tokens', '64', '--max-steps', '2']
  const settings = [...learning, '--epochs', '2', '--learning-rate', '1e-3', '--save-every', '1']
  const rloo = (name: string, more: string[] = [], options?: Partial<StartOptions>) =>
    attune(['rloo', ...common, ...settings, '--output', at(name), ...more], options)
  const whole = await rloo('whole')
  expect(whole.code, whole.stderr).toBe(0)
  const stopped = await rloo('cut', [], { watch: interruptOnce(at('cut/rollouts/2/samples.jsonl')) })
  expect(stopped.code, stopped.stderr).toBe(130)
  expect(eventsOf(stopped.stdout).at(-1)).toMatchObject({ event: 'end', stopped: 'interrupted', steps: 1 })
  expect(stopped.stderr).toContain('attune rloo --output')
  const rest = await rloo('cut', ['--resume'])
  expect(rest.code, rest.stderr).toBe(0)
  expect(weightsOf(at('cut'))).toBe(weightsOf(at('whole')))
  expect(logOf(at('cut'))).toEqual(logOf(at('whole')))
})
