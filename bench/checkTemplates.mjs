/**
 * Compares random chat-template snippets with Jinja2: `npm run check:templates -- --peer PYTHON [--count 5000] [--seed 1] [--show 10] [--keep FILE]`.
 * PYTHON has transformers and jinja2, set up as transformers does. Two results agree if the text is equal or both refuse.
 * Prints the differences and a line of counts. --keep writes the cases with Jinja2's results, a fixture of the test suite.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseJson } from '../dist/util/json.js'
import { compileTemplate, renderTemplate } from '../dist/text/jinja/render.js'
import { documents, templateCases } from './templateCases.mjs'

const { values: flags } = parseArgs({
  options: {
    peer: { type: 'string' },
    count: { type: 'string', default: '5000' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '10' },
    keep: { type: 'string' },
  },
})
if (!flags.peer) throw new Error('--peer PYTHON names a Python with transformers and jinja2')

const cases = templateCases(Number(flags.count), Number(flags.seed))
const peer = spawnSync(flags.peer, [join(dirname(new URL(import.meta.url).pathname), 'checkTemplates.py')], {
  input: cases.map(({ template, document }) => JSON.stringify({ template, data: documents[document] })).join('\n'),
  encoding: 'utf8',
  maxBuffer: 2 ** 30,
  env: { ...process.env, HF_HUB_OFFLINE: '1' },
})
if (peer.status !== 0) throw new Error(`the peer failed: ${peer.stderr.slice(-500)}`)
const theirs = peer.stdout.trim().split('\n').map((line) => JSON.parse(line))

const ours = ({ template, document }) => {
  try {
    const data = parseJson(documents[document], () => new Error('bad JSON'))
    return { text: renderTemplate(compileTemplate(template), data).text }
  } catch (error) {
    if (error.name !== 'Fault') throw error
    return { error: error.message }
  }
}

/** Memory addresses that Python prints cannot be compared. */
const comparable = ({ text }) => text === undefined || !/0x[\da-f]{6,}/.test(text)

const counts = { equal: 0, refused: 0, different: 0, addresses: 0 }
let shown = 0
cases.forEach((one, i) => {
  const [got, wanted] = [ours(one), theirs[i]]
  if (!comparable(wanted)) counts.addresses++
  else if (got.text === undefined && wanted.text === undefined) counts.refused++
  else if (got.text === wanted.text) counts.equal++
  else {
    counts.different++
    if (shown++ < Number(flags.show))
      console.log(JSON.stringify({ case: i, document: one.document, template: one.template, got, wanted }, null, 1))
  }
})
if (flags.keep) {
  const kept = cases
    .map((one, i) => ({ ...one, text: theirs[i].text ?? null }))
    .filter((one, i) => comparable(theirs[i]) && one.template.length < 300)
  writeFileSync(flags.keep, `${JSON.stringify({ documents, cases: kept })}\n`)
}
console.log(JSON.stringify({ seed: Number(flags.seed), ...counts }))
process.exitCode = counts.different ? 1 : 0
