/**
 * The npm package: its files, its exports with their types, a typed program that trains with it, and the lockfile.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixture } from './support/golden.ts'
import { compile, installPacked, makeProject, node, type Project, root, run, write } from './support/project.ts'

const program = `import { type CustomLoss, dpo } from 'attune'
const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected })
const data = [pair('Once upon a time', ', a dog was kind.', ' the end'), pair('Lily', ' smiled.', ' hit him.')]
/** -log sigmoid of the margin in log-probs per token, without a reference model. */
const loss: CustomLoss = ({ logps, lengths }) => {
  const each = logps.div(lengths)
  const gap = each.slice(1, 0, 1).sub(each.slice(1, 1, 2))
  return { loss: gap.logSigmoid().neg().mean(), metrics: { gap: gap.mean() } }
}
const stop = new AbortController()
for await (const event of dpo({ model: 'model', data, output: 'run', epochs: 9, loss }, { signal: stop.signal })) {
  if (event.event === 'step') console.log(event.step, event.loss.toFixed(3), typeof event.gap)
  if (event.event === 'step' && event.step === 2) stop.abort()
  if (event.event === 'end') console.log(event.stopped, event.steps)
}
`

const rooms = `import { Fault, kto, sft, type TrainEvent } from 'attune'
import { openRows } from 'attune/data'
import { openCheckpoint } from 'attune/checkpoint'
import { generate } from 'attune/generate'
import { architectures } from 'attune/models'
import { rmsNorm } from 'attune/nn'
import { preferenceLoss } from 'attune/objectives'
import { ktoLoss } from 'attune/objectives/kto'
import { compileProgram, type Program } from 'attune/onnx'
import { optimizer } from 'attune/optim'
import { openModel } from 'attune/passes'
import { openBackend } from 'attune/runtime'
import { readRun } from 'attune/runs'
import { input, type Tensor } from 'attune/tensor'
import { grad } from 'attune/tensor/grad'
import { loadTokenizerFolder } from 'attune/text'
import { train } from 'attune/train'

const x: Tensor = input('x', ['B', 2])
const traced: Program = compileProgram('square', { dx: grad(x.square().sum(), [x])[0]! })
const tokenizer = await loadTokenizerFolder('model')
const ids: number[] = tokenizer?.encode('Once upon a time').ids ?? []
const names: string[] = architectures.map(({ name }) => name)
const code = (event: TrainEvent) => (event.event === 'warning' ? event.code : new Fault('none', '').code)
const functions = [kto, sft, openRows, openCheckpoint, generate, rmsNorm, preferenceLoss, ktoLoss, optimizer, openModel]
const more = [openBackend, readRun, train, code].every((value) => typeof value === 'function')
console.log(traced.inputs[0]?.shape.join(), ids.length, names.includes('LlamaForCausalLM'), functions.length, more)
`

/** Wrong programs. Types that are \`any\`, because declarations were not found, would accept them. */
const wrong = `import { dpo } from 'attune'
import { input } from 'attune/tensor'
dpo({ model: 'm', data: [], output: 'o', loss: 3 })
input('x', 'B')
`

const chatTemplate = `{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ message.content }}
{% endif %}{% endfor %}`

let project: Project
let files: string[]
beforeAll(() => {
  project = makeProject('package')
  files = installPacked(project.dir)
  cpSync(fixture('models/stories260K'), join(project.dir, 'model'), { recursive: true })
}, 120_000)
afterAll(() => project.remove())

describe('the npm package', () => {
  it('contains the files needed at run time and no others', () => {
    const strange = files.filter(
      (path) =>
        !/^(bin\/(attune|preinstall)\.js|dist\/.*(\.d\.ts|\.js)|dist\/web\/([\w.-]+|assets\/[\w.-]+)|template\/.*|prompts\/.*|[A-Z]+(\.md)?|package\.json)$/.test(
          path,
        ),
    )
    expect(strange).toEqual([])
    expect(files.filter((path) => /\.test\.|fixtures/.test(path))).toEqual([])
    expect(files).toEqual(
      expect.arrayContaining(['README.md', 'LICENSE', 'CHANGELOG.md', 'NOTICE', 'dist/runtime/ortWorker.js']),
    )
  })

  it('exports only files that exist', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const missing = Object.values<string>(exports)
      .map((path) => path.slice(2))
      .filter((path) => !path.includes('*') && !files.includes(path))
    expect(missing).toEqual([])
  })

  it('trains from a typed program of 15 lines with custom rows, a custom loss, events and a signal', async () => {
    expect(program.trim().split('\n').length).toBeLessThanOrEqual(15)
    write(project.dir, 'program.ts', program)
    write(project.dir, 'rooms.ts', rooms)
    expect(await compile(project.dir)).toBe('')
    const run = await node(project.dir, ['program.js'], { ATTUNE_CACHE: join(project.dir, 'cache') })
    expect(run.stderr).toBe('')
    expect(run.stdout).toMatch(/^1 \d+\.\d{3} number\n2 \d+\.\d{3} number\ninterrupted 2\n$/)
    expect((await node(project.dir, ['rooms.js'])).stdout).toBe('B,2 5 true 10 true\n')
  })

  it('has types that reject wrong options', async () => {
    write(project.dir, 'wrong.ts', wrong)
    expect((await compile(project.dir, { skipLibraries: true })).match(/wrong\.ts\(\d+/g)).toEqual([
      'wrong.ts(3',
      'wrong.ts(4',
    ])
  })

  it('can be installed where a firewall stops the downloads of onnxruntime-node', async () => {
    // As npm does: unpacked side by side, then attune's preinstall, then the install script of onnxruntime-node
    const dir = mkdtempSync(join(tmpdir(), 'attune-firewall-'))
    const modules = join(dir, 'node_modules')
    const runtime = join(modules, 'onnxruntime-node')
    for (const path of ['bin', 'package.json']) {
      mkdirSync(join(modules, 'attune'), { recursive: true })
      cpSync(join(project.dir, 'node_modules', 'attune', path), join(modules, 'attune', path), { recursive: true })
    }
    for (const path of ['package.json', 'script'])
      cpSync(join(root, 'node_modules/onnxruntime-node', path), join(runtime, path), { recursive: true })
    for (const name of ['global-agent', 'adm-zip']) symlinkSync(join(root, 'node_modules', name), join(modules, name))
    const bin = join(runtime, 'bin/napi-v6', process.platform, process.arch)
    mkdirSync(bin, { recursive: true })
    // A proxy that is not there stands for the firewall. Where npm runs this test, the script would take it for its own checkout
    const firewall = { GLOBAL_AGENT_HTTPS_PROXY: 'http://127.0.0.1:9', npm_package_json: '' }
    const install = async () => {
      await node(dir, [join(modules, 'attune/bin/preinstall.js')])
      return node(dir, [join(runtime, 'script/install.js')], firewall)
    }
    const hasNvidia = existsSync('/proc/driver/nvidia/version')
    const asked = await node(dir, [join(modules, 'attune/bin/preinstall.js')], { ONNXRUNTIME_NODE_INSTALL: 'cuda12' })
    expect([asked.status, readdirSync(bin)]).toEqual([0, []])
    const wanted = process.platform === 'linux' && process.arch === 'x64' && !hasNvidia ? 3 : 0
    const stopped = await node(dir, [join(runtime, 'script/install.js')], firewall)
    if (wanted > 0) expect(stopped.status).not.toBe(0)
    if (!hasNvidia) expect(await install()).toMatchObject({ status: 0 })
    expect(readdirSync(bin).filter((file) => statSync(join(bin, file)).size === 0)).toHaveLength(wanted)
    rmSync(dir, { recursive: true })
  })

  it('creates a first project whose scripts run', async () => {
    const bin = join(project.dir, 'node_modules', 'attune', 'bin', 'attune.js')
    write(project.dir, 'model/chat_template.jinja', chatTemplate)
    const made = await node(project.dir, [bin, 'create', 'My first', '--model', 'model'])
    expect(made).toMatchObject({ status: 0, stderr: '' })
    expect(made.stdout).toContain("cd 'My first'")
    const dir = join(project.dir, 'My first')
    const { name, scripts, dependencies } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect([name, dependencies]).toEqual(['my-first', { attune: `^${version}` }])
    expect(existsSync(join(dir, '.gitignore'))).toBe(true)
    // node_modules of the folder above serves both
    const npm = (script: string, ...args: string[]) => {
      const [program, ...words] = scripts[script].match(/"[^"]*"|\S+/g)
      const bins: Record<string, string> = {
        attune: bin,
        jiti: join(root, 'node_modules/jiti/lib/jiti-cli.mjs'),
        tsc: join(root, 'node_modules/@typescript/native/bin/tsc'),
      }
      const all = [...words.map((word: string) => word.replaceAll('"', '')), ...args]
      return run(process.execPath, [bins[program], ...all], {
        cwd: dir,
        env: { ATTUNE_CACHE: join(project.dir, 'cache') },
      })
    }
    expect(await npm('types')).toMatchObject({ status: 0, stdout: '' })
    expect((await npm('check')).status).toBe(0)
    const sft = await npm('sft', '--max-steps', '2')
    expect([sft.status, sft.stderr]).toEqual([0, expect.stringContaining('attune chat --model attune-runs/')])
    const trained = await npm('train', '1')
    expect(trained.stderr).toBe('')
    expect(trained.stdout).toMatch(/^step 1 of 1: reward 0\.\d{3}$/m)
    const again = await node(project.dir, [bin, 'create', 'My first'])
    expect(again).toMatchObject({ status: 2, stderr: 'error: My first: is not empty; name a new folder\n' })
  }, 180_000)

  it('installs the command attune', async () => {
    const bin = join(project.dir, 'node_modules', 'attune', 'bin', 'attune.js')
    const { stdout, status } = await node(project.dir, [bin, 'inspect', 'model', '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ architecture: 'LlamaForCausalLM', parameters: { total: 260_032 } })
  })
})

it('the lockfile has an entry for every dependency on every platform, or npm ci refuses it', () => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  // As Node finds it: in the package's own folder, or in that of a package around it
  const isThere = (path: string, name: string): boolean => {
    if (packages[join(path, 'node_modules', name)]) return true
    return path !== '' && isThere(path.slice(0, Math.max(0, path.lastIndexOf('node_modules') - 1)), name)
  }
  const missing = Object.entries<Record<string, object>>(packages).flatMap(
    ([path, { dependencies, optionalDependencies }]) =>
      Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => !isThere(path, name)),
  )
  expect(missing).toEqual([])
})
