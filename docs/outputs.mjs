/**
 * Runs the `sh` blocks of a page in their order and writes what they print into it: `node docs/outputs.mjs docs/guide.md FOLDER`.
 * A text block behind `<!-- output: PATTERN -->` gets those lines of the block of commands before it that match the pattern, without
 * their speeds. FOLDER should be new; `bin`, `examples` and `test` of this checkout are linked into it. To use a local copy of a model,
 * put it into FOLDER under the name that the page uses, such as HuggingFaceTB/SmolLM2-135M-Instruct.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [page, folder] = process.argv.slice(2)
if (!page || !folder) throw new Error('usage: node docs/outputs.mjs PAGE FOLDER')
mkdirSync(folder, { recursive: true })
for (const name of ['bin', 'examples', 'test'])
  if (!existsSync(join(folder, name))) symlinkSync(join(root, name), join(resolve(folder), name))

const attune = `attune() { node "${join(root, 'bin', 'attune.js')}" "$@"; }`
const speeds = /( +[\d.]+ s)? +[\d,.]+ tokens\/s.*$/

const run = (commands) => {
  process.stderr.write(commands)
  const { status, stdout } = spawnSync('bash', ['-euo', 'pipefail', '-c', `${attune}\nexec 2>&1\n${commands}`], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`ended with ${status}:\n${stdout}`)
  return stdout
}

const blocks = /^```sh\n([\s\S]*?)^```\n(?:\n<!-- output: (.*) -->\n(?:\n```text\n[\s\S]*?^```\n)?)?/gm
const text = readFileSync(page, 'utf8').replace(blocks, (whole, commands, pattern) => {
  const printed = run(commands)
  if (pattern === undefined) return whole
  const lines = printed
    .trimEnd()
    .split('\n')
    .filter((line) => new RegExp(pattern).test(line))
  const shown = lines
    .map((line) =>
      line
        .replace(speeds, '')
        .replaceAll(`file://${resolve(folder)}/`, 'file:///.../')
        .trimEnd(),
    )
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
  return `${whole.slice(0, whole.indexOf('<!-- output'))}<!-- output: ${pattern} -->\n\n\`\`\`text\n${shown}\n\`\`\`\n`
})
writeFileSync(page, text)
