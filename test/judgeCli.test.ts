/** `attune judge` as a process: what it prints, and that a killed one goes on without asking for anything twice. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { biasedJudge, judgeStub } from './support/judgeStub.ts'
import { makeProject, root, run, write } from './support/project.ts'

const project = makeProject('judge-cli')
afterAll(project.remove)
const { dir } = project

type Line = { event?: string; verdict?: string | null; [key: string]: unknown }

/** @param seen called with each line and the process */
const attune = (argv: readonly string[], seen: (line: Line, child: ChildProcess) => void = () => {}) =>
  new Promise<{ code: number | null; lines: Line[]; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, [join(root, 'bin/attune.js'), ...argv], {
      cwd: dir,
      env: { ...process.env, ATTUNE_CACHE: join(dir, 'cache') },
    })
    const lines: Line[] = []
    let [rest, stderr] = ['', '']
    child.stdout.on('data', (chunk) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop()!
      for (const part of parts) {
        lines.push(JSON.parse(part))
        seen(lines.at(-1)!, child)
      }
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.on('close', (code) => resolve({ code, lines, stderr }))
  })

const jsonl = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

describe('attune judge', () => {
  it('killed in the middle of 1,000 judgements goes on, and asks for nothing twice', async () => {
    const stub = await judgeStub({ ...biasedJudge, delay: 3 })
    try {
      const rows = Array.from({ length: 1000 }, (_, id) => ({ id, prompt: `q${id}`, completion: `answer ${id}` }))
      write(dir, 'rows.jsonl', jsonl(rows))
      const concurrency = 16
      const flags = [
        '--mode',
        'single',
        '--data',
        'rows.jsonl',
        '--concurrency',
        `${concurrency}`,
        '--output',
        'judged',
      ]
      const argv = ['judge', '--judge', `${stub.url}#m`, ...flags, '--json']
      let judged = 0
      const killed = await attune(argv, ({ verdict }, child) => {
        if (verdict !== undefined && ++judged === 300) child.kill('SIGKILL')
      })
      expect(killed.code).toBeNull()
      expect(killed.lines.at(-1)?.event).not.toBe('end')
      const whole = await attune(argv)
      expect(whole.code).toBe(0)
      expect(whole.lines[0]).toMatchObject({ event: 'plan', n: 1000 })
      expect(whole.lines[0].kept).toBeGreaterThanOrEqual(288)
      const ids = whole.lines.filter(({ verdict }) => verdict !== undefined).map(({ id }) => id)
      expect(ids).toEqual(rows.map(({ id }) => id))
      expect(whole.lines.at(-1)).toMatchObject({ event: 'end', n: 1000 })
      // Only what was under way when it was killed, and whose answer nobody received, is asked for again
      expect(stub.repeated()).toBeLessThanOrEqual(concurrency)
      expect(stub.calls()).toBe(1000 + stub.repeated())
      expect(readFileSync(join(dir, 'judged', 'report.html'), 'utf8')).toContain('Grades')
    } finally {
      await stub.close()
    }
  }, 60_000)

  it('prints a row for each verdict and an end; one order says what it costs', async () => {
    const stub = await judgeStub()
    try {
      write(
        dir,
        'pairs.jsonl',
        jsonl([
          { id: 'x', prompt: 'q', chosen: 'a', rejected: 'b' },
          { id: 'y', prompt: 'q', chosen: 'a' },
        ]),
      )
      const { code, lines } = await attune([
        'judge',
        '--judge',
        stub.url,
        '--judge-model',
        'm',
        '--data',
        'pairs.jsonl',
        '--single-order',
        '--price',
        '1,2',
        '--json',
      ])
      expect(code).toBe(0)
      expect(lines.map(({ event, id }) => event ?? id)).toEqual(['plan', 'warning', 'x', 'y', 'end'])
      expect(lines[1].message).toMatch(/one order only: 1 request.* instead of 2/)
      expect(lines[3]).toMatchObject({ verdict: 'error', error: 'no-second-answer' })
      expect(lines[4]).toMatchObject({ n: 2, errors: 1, errors_by: { 'no-second-answer': 1 } })
    } finally {
      await stub.close()
    }
  })

  it('prints its prompts to copy, and names what is missing', async () => {
    const printed = await run(process.execPath, [join(root, 'bin/attune.js'), 'judge', '--print-prompt', 'pairwise'], {
      cwd: dir,
      env: {},
    })
    expect(printed.stdout).toContain('{answer_a}')
    const { code, stderr } = await attune(['judge', '--data', 'pairs.jsonl', '--json'])
    expect(code).toBe(2)
    expect(stderr).toContain('--judge')
  })
})
