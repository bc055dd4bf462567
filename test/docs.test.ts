/**
 * Runs the code blocks of README.md and docs/, and checks their links and completeness.
 * The `sh` blocks of a page run in order, in the folder that docs/getting-started.md makes for its readers. `ts` blocks are
 * type-checked and run, `jsonl` blocks are read as rows. Blocks that need a network are marked `sh no-run`. Training is cut short.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { slugOf } from '../docs/.vitepress/links.ts'
import { readRows } from '../src/data/input.node.ts'
import { architectures } from '../src/models/registry.ts'
import { preferenceLossNames } from '../src/objectives/preferenceLosses.ts'
import { scheduleNames } from '../src/optim/schedules.ts'
import { methods } from '../src/recipes/methods.ts'
import { ktoSchema, preferenceSchema, sftSchema } from '../src/recipes/trainer/schema.ts'
import { collect } from './support/collect.ts'
import {
  compile,
  type Ended,
  linkCheckout,
  makeProject,
  node,
  type Project,
  root,
  run,
  write,
} from './support/project.ts'
import { openWarm } from './support/warm.ts'

/** The API pages in docs/api/ are generated. */
const pages = ['README.md', ...readdirSync(join(root, 'docs'), { recursive: true }).map((name) => `docs/${name}`)]
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.md') && !/^docs\/(api|\.vitepress)\//.test(path))
  .sort()
const textOf = (page: string) => readFileSync(join(root, page), 'utf8')

type Block = { kind: string; text: string; line: number }

const blocksOf = (page: string): Block[] => {
  const text = textOf(page)
  return [...text.matchAll(/^```(\S.*)\n([\s\S]*?)^```$/gm)].map(({ 1: kind, 2: body, index }) => ({
    kind,
    text: body,
    line: text.slice(0, index).split('\n').length,
  }))
}

/** The commands by which a reader makes the folder that the pages expect: a model, rows, the examples of the clone. */
const toTryThings = blocksOf('docs/getting-started.md').find(({ text }) => text.includes('cp -r test/fixtures'))!.text

/** Makes that folder, and an `attune` in its path. */
const writeInputs = (dir: string, socket: string) => {
  linkCheckout(dir)
  execFileSync('bash', ['-euo', 'pipefail', '-c', toTryThings], { cwd: dir, env: { ...process.env, clone: root } })
  // The README's commands run in the clone itself
  symlinkSync(join(root, 'bin'), join(dir, 'bin'))
  mkdirSync(join(dir, 'path'))
  const [bin, client] = ['bin/attune.js', 'test/support/attuneClient.mjs'].map((path) => join(root, path))
  // Commands that read the terminal or run until stopped get a process of their own
  const choice = `case "$1" in chat|serve|studio|label) exec node "${bin}" "$@";; *) exec node "${client}" "${socket}" "$@";; esac`
  write(dir, 'path/attune', `#!/bin/sh\n${choice}\n`)
  chmodSync(join(dir, 'path', 'attune'), 0o755)
}

/** A command makes a few steps, or compares a few rows, so that its flags are tried and the suite stays short. */
const short = (argv: readonly string[]): readonly string[] => {
  if (argv[0] === 'compare' && !argv.includes('--max-samples')) return [...argv, '--max-samples', '4']
  const isTraining = Object.values(methods).some(({ name }) => name === argv[0])
  const leaveAlone = ['--config', '--resume', '--find-lr', '--estimate', '--help']
  if (!isTraining || argv.some((word) => leaveAlone.includes(word))) return argv
  // Those of self-play are steps of each iteration
  const most = argv.includes('--iterations') ? 2 : 4
  const at = argv.indexOf('--max-steps')
  if (at < 0) return [...argv, '--max-steps', `${most}`]
  return argv.with(at + 1, `${Math.min(most, Number(argv[at + 1]))}`)
}

const cache = makeProject('docs-cache')

/** Two processes that have loaded attune, each behind a socket, so that a command takes a fraction of the time. */
const warm = [0, 1].map((i) => {
  const attune = openWarm()
  const path = join(cache.dir, `${i}.socket`)
  let last: Promise<unknown> = Promise.resolve()
  const server = createServer({ allowHalfOpen: true }, (client) => {
    let request = ''
    client.on('data', (chunk) => {
      request += chunk
    })
    client.on('end', () => {
      const { argv, cwd, cache } = JSON.parse(request)
      // The commands of a pipe arrive at the same time
      last = last.then(async () => client.end(JSON.stringify(await attune.run(short(argv), cache, cwd))))
    })
  }).listen(path)
  const close = () => {
    server.close()
    attune.close()
  }
  return { path, close }
})
afterAll(() => {
  for (const { close } of warm) close()
  cache.remove()
})
const quiet = { ATTUNE_CACHE: cache.dir, HF_HUB_OFFLINE: '1' }

const shell = (dir: string, text: string) => {
  const env = { ...quiet, PATH: `${join(dir, 'path')}:${process.env.PATH}` }
  return run('bash', ['-euo', 'pipefail', '-c', text], { cwd: dir, env })
}

/** stderr matters only if a block fails. */
const outcome = ({ status, stderr }: Ended) => ({ status, stderr: status === 0 ? '' : stderr })
const success = { status: 0, stderr: '' }

type Results = { types: Promise<string>; blocks: Map<Block, Promise<unknown>> }

/** Runs the blocks of a page in order, in a folder of its own. @returns a promise for the result of each block */
const perform = (blocks: readonly Block[], socket: string): Results & { end: Promise<unknown> } => {
  const project = makeProject('docs')
  writeInputs(project.dir, socket)
  const scripts = blocks.filter(({ kind }) => kind === 'ts')
  for (const { line, text } of scripts) write(project.dir, `line${line}.ts`, text)
  const types = scripts.length ? compile(project.dir, { skipLibraries: true }) : Promise.resolve('')
  let last: Promise<unknown> = types
  const results = blocks
    .filter(({ kind }) => kind in actions)
    .map((block) => {
      const result = last.then(() => actions[block.kind](project, block))
      last = result.catch(() => {})
      return [block, result] as const
    })
  return { types, blocks: new Map(results), end: last.finally(project.remove) }
}

/** A program without its comments and layout. */
const bare = (text: string) =>
  text
    .replace(/\/\*\*.*?\*\//gs, '')
    .replace(/\s/g, '')
    .replace(/,([)\]}])/g, '$1')
/** test/examples.test.ts runs these, and looks at what they print. */
const examples = readdirSync(join(root, 'examples'))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => bare(readFileSync(join(root, 'examples', name), 'utf8')))

const actions: Record<string, (project: Project, block: Block) => Promise<unknown>> = {
  sh: async ({ dir }, { text }) => outcome(await shell(dir, text)),
  ts: async ({ dir }, { line, text }) =>
    examples.includes(bare(text)) ? success : outcome(await node(dir, [`line${line}.js`], quiet)),
  jsonl: async ({ dir }, { line, text }) => {
    write(dir, `line${line}.jsonl`, text)
    const rows = await collect(readRows(join(dir, `line${line}.jsonl`)))
    return rows.length === text.trim().split('\n').length ? success : { status: 2, stderr: `${rows.length} rows` }
  },
}

/** Runs all pages, two at a time. @returns an entry for each page at once */
const performAll = (pagesOfBlocks: ReadonlyMap<string, readonly Block[]>): Map<string, Promise<Results>> => {
  const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()]
  const started = [...pagesOfBlocks].map(([page, blocks], i) => {
    const begun = lanes[i % 2].then(() => perform(blocks, warm[i % 2].path))
    lanes[i % 2] = begun.then(({ end }) => end)
    return [page, begun] as const
  })
  return new Map(started)
}

describe.skipIf(process.platform === 'win32')('code blocks on pages', () => {
  const blocks = new Map(pages.map((page) => [page, blocksOf(page)]))
  let results: Map<string, Promise<Results>>
  beforeAll(() => {
    results = performAll(blocks)
  })

  describe.each([...blocks])('%s', (page, all) => {
    it('its ts blocks type-check', async () => expect(await (await results.get(page)!).types).toBe(''))

    it.each(all.filter(({ kind }) => kind in actions))('the $kind block on line $line runs', async (block) => {
      expect(await (await results.get(page)!).blocks.get(block)).toEqual(success)
    })
  })
})

/** The anchors of a page: its headings, as GitHub names them, and marks such as `<a id="check"></a>`. */
const anchorsOf = (text: string) => {
  const headings = [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)].map(({ 1: heading }) =>
    slugOf(heading.replace(/<[^>]*>/g, '').replace(/\[(.*?)\]\(.*?\)/g, '$1')),
  )
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)"/g)].map(({ 1: id }) => id)]
}

describe.each([...pages, 'CONTRIBUTING.md', 'CHANGELOG.md'])('%s', (page) => {
  it('links to files and headings that exist', () => {
    const links = [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)/g)]
    const broken = links.filter(([, path, anchor]) => {
      const file = path ? join(root, dirname(page), path) : join(root, page)
      return !existsSync(file) || (anchor && !anchorsOf(readFileSync(file, 'utf8')).includes(anchor))
    })
    expect(broken.map(([link]) => link)).toEqual([])
  })
})

describe.each([...pages, 'CONTRIBUTING.md'])('%s', (page) => {
  it('has commands that fit into the column of the site, at most 88 characters a line', () => {
    const lines = blocksOf(page)
      .filter(({ kind }) => /^(sh|bash)\b/.test(kind))
      .flatMap(({ text, line }) => text.split('\n').map((command, i) => ({ line: line + 1 + i, command })))
    // A row of data is one line
    expect(lines.filter(({ command }) => command.length > 88 && !command.startsWith('{'))).toEqual([])
  })

  it('says in which folder its commands run', () => {
    const code = blocksOf(page).flatMap(({ kind, text }) => (kind === 'sh' || kind === 'ts' ? [text] : []))
    const name = /(--\w+|inspect) model\b|'model'|(?<![\w/-])(pairs|stories|chats|prompts|thumbs|rankings)\.jsonl/
    if (code.some((text) => name.test(text))) expect(textOf(page)).toMatch(/getting-started\.md#try|<a id="try">/)
  })

  it('has the output of every mark `<!-- output: ... -->`', () => {
    const text = textOf(page)
    const marks = [...text.matchAll(/^<!-- output: .* -->$/gm)]
    const empty = marks.filter(
      ({ 0: mark, index }) => !/^\n+```text\n(?!```).*\S/.test(text.slice(index + mark.length)),
    )
    const lineOf = (index: number) => text.slice(0, index).split('\n').length
    expect(
      empty.map(({ index }) => lineOf(index)),
      'run `node docs/outputs.mjs PAGE FOLDER`',
    ).toEqual([])
  })
})

describe('no name is forgotten in the docs', () => {
  const named = (page: string, names: readonly string[]) =>
    names.filter((name) => !textOf(page).includes(`\`${name}\``))

  it('training.md names every schedule', () => {
    expect(named('docs/training.md', scheduleNames)).toEqual([])
  })

  const ofMethods = {
    sft: { schema: sftSchema, losses: sftSchema.shape.loss.unwrap().options },
    dpo: { schema: preferenceSchema, losses: preferenceLossNames },
    kto: { schema: ktoSchema, losses: ktoSchema.shape.loss.unwrap().options },
  }

  it.each(Object.entries(ofMethods))('the page of %s names every loss', (name, { losses }) => {
    expect(named(`docs/methods/${name}.md`, losses)).toEqual([])
  })

  it.each(Object.entries(ofMethods))('the page of %s and training.md name every flag of it', (name, { schema }) => {
    const flags = Object.keys(schema.shape).map(
      (key) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    )
    const text = textOf(`docs/methods/${name}.md`) + textOf('docs/training.md')
    const isNamed = (flag: string) => text.includes(flag) || text.includes(flag.replace('--', '--no-'))
    expect(flags.filter((flag) => !isNamed(flag))).toEqual([])
  })

  it('every method has a page, and the index of methods names it', () => {
    const names = Object.values(methods).map(({ name }) => name)
    expect(names.filter((name) => !textOf('docs/methods/index.md').includes(`(${name}.md)`))).toEqual([])
  })

  it('models.md names every architecture', () => {
    expect(
      named(
        'docs/models.md',
        architectures.map(({ name }) => name),
      ),
    ).toEqual([])
  })
})

it('names.md has the current answers to the names of other programs', async () => {
  const made = join(cache.dir, 'names.md')
  expect((await node(root, ['docs/names.mjs', made])).stderr).toBe('')
  expect(textOf('docs/names.md'), 'run `npm run api`').toBe(readFileSync(made, 'utf8'))
})

it('architecture.md lists every file of src/ with the first sentence of its header', async () => {
  const made = join(cache.dir, 'architecture.md')
  expect((await node(root, ['docs/files.mjs', made])).stderr).toBe('')
  expect(textOf('docs/architecture.md'), 'run `npm run api`').toBe(readFileSync(made, 'utf8'))
  expect(textOf('docs/architecture.md')).not.toMatch(/^- `\S+` $/m)
})

describe.skipIf(process.platform === 'win32')('scripts in examples/ run', () => {
  const scripts = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.sh'))

  it.each(scripts)('%s', async (name) => {
    const env = { ...quiet, RUN: join(cache.dir, name) }
    expect(outcome(await run(join(root, 'examples', name), ['--max-steps', '1'], { cwd: root, env }))).toEqual(success)
  })
})
