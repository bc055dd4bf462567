/**
 * Measures how exact 8-bit products are: `npm run bench:int8-error -- --model MODEL --data HH_RLHF --tokens 2000`. HH_RLHF is one
 * of its files (.jsonl.gz). A table: by how much the log-probabilities of the last replies' tokens differ from those of fp32
 * (standard deviation, mean, 99th percentile of the magnitude). The first lines say how long each form took to load, and which
 * modules' inputs are rounded twice. The last rows change `int8-fast`: one kind of module alone is rounded once.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { makeModel } from '../dist/passes/model.js'
import { openModel } from '../dist/passes/open.node.js'
import { readTokenStats } from '../dist/passes/tokenStats.js'

const { values: flags } = parseArgs({
  options: { model: { type: 'string' }, data: { type: 'string' }, tokens: { type: 'string', default: '2000' }, kinds: { type: 'boolean', default: false } },
})
if (!flags.model || !flags.data) throw new Error('--model and --data name a model and a file of HH-RLHF')

/** Longer conversations are left out, so that the targets are many for the tokens that are read. */
const longest = 200

const conversation = (text) =>
  text
    .split(/\n\n(?=Human: |Assistant: )/)
    .filter((turn) => turn.trim())
    .map((turn) => ({ role: turn.startsWith('Human') ? 'user' : 'assistant', content: turn.slice(turn.indexOf(':') + 1).trim() }))

/** Conversations as trees, whose branch is the last reply. */
const treesOf = (tokenizer, tokens) => {
  const trees = []
  let targets = 0
  for (const line of gunzipSync(readFileSync(flags.data)).toString().split('\n')) {
    if (targets >= tokens || !line) break
    const messages = conversation(JSON.parse(line).chosen)
    if (messages.length < 2 || messages.at(-1).role !== 'assistant') continue
    const trunk = tokenizer.chat.encode(messages.slice(0, -1), { addGenerationPrompt: true }).ids
    const reply = tokenizer.chat.encode(messages).ids.slice(trunk.length)
    if (trunk.length + reply.length > longest || reply.length < 20) continue
    trees.push({ trunk, branches: [reply] })
    targets += reply.length
  }
  return trees
}

const logpsOf = async (model, trees) => {
  const { logps } = await readTokenStats(model, trees, ['logps'], { passTokens: 1024 })
  return logps.flatMap(({ branches }) => branches.flat())
}

const errorOf = (logps, exact) => {
  const errors = logps.map((logp, i) => logp - exact[i])
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length
  const std = Math.sqrt(errors.reduce((sum, error) => sum + (error - mean) ** 2, 0) / (errors.length - 1))
  const sorted = errors.map(Math.abs).sort((a, b) => a - b)
  return { std, mean, p99: sorted[Math.floor(0.99 * sorted.length)] }
}

const kindOf = (name) => name.split('.').at(-2)

/** The codes of a language head are under this name. Its rows are always rounded twice. */
const head = 'lm_head.weight'

/** Of all products in the blocks those of rows rounded once, by their multiplications. */
const onceShare = (int8) => {
  const sum = (forms) => forms.reduce((n, { out, inner }) => n + out * inner, 0)
  const forms = [...int8].filter(([name]) => name !== head).map(([, form]) => form)
  return sum(forms.filter(({ terms }) => terms === 1)) / sum(forms)
}

const rows = []
const add = (form, int8, logps) => {
  const { std, mean, p99 } = errorOf(logps, exact)
  rows.push([form, (100 * onceShare(int8)).toFixed(0), std.toFixed(4), mean.toFixed(4), p99.toFixed(3)])
  console.log(rows.at(-1).join(' | '))
}
const withTerms = (model, terms) =>
  makeModel({ ...model, int8: new Map([...model.int8].map(([name, form]) => [name, name === head ? form : { ...form, terms: terms(name, form) }])) })

let trees
let exact
for (const compute of ['fp32', 'int8', 'int8-fast']) {
  const started = performance.now()
  const { model, tokenizer, close } = await openModel({ model: flags.model, compute })
  console.log(`${compute}: loaded in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  trees ??= treesOf(tokenizer, Number(flags.tokens))
  const logps = await logpsOf(model, trees)
  exact ??= logps
  if (compute === 'fp32') {
    console.log(`${exact.length} tokens of ${trees.length} conversations`)
    console.log('form | % of products in one term | std | mean | p99')
  } else add(compute, model.int8, logps)
  if (compute === 'int8') {
    const once = withTerms(model, () => 1)
    add('rows rounded once, nothing else', once.int8, await logpsOf(once, trees))
  }
  if (compute === 'int8-fast') {
    if (model.config.tie_word_embeddings && model.int8.has(head)) {
      const plain = makeModel({ ...model, int8: new Map([...model.int8].filter(([name]) => name !== head)) })
      add('int8-fast, the head in fp32', plain.int8, await logpsOf(plain, trees))
    }
    const twice = [...model.int8].filter(([name, { terms }]) => terms === 2 && name !== head).map(([name]) => name)
    console.log(`rounded twice: ${twice.join(' ')}`)
    const once = withTerms(model, () => 1)
    add('smoothed, rows rounded once', once.int8, await logpsOf(once, trees))
    for (const kind of flags.kinds ? new Set([...model.int8.keys()].filter((name) => name !== head).map(kindOf)) : []) {
      const one = withTerms(model, (name) => (kindOf(name) === kind ? 1 : 2))
      add(`smoothed, ${kind} alone rounded once`, one.int8, await logpsOf(one, trees))
    }
  }
  await close()
}
