/**
 * Measures pair ranking: `node bench/rank.mjs MODEL ROWS [--threads N]`. Rows are `{"input_ids"}` of joined pairs. Prints
 * {"seconds": for all rows, "cpu": seconds of processor time, "tokens": without padding, "first": the scores of the first row}.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openRanker } from '../dist/passes/openRanker.node.js'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { threads: { type: 'string' } } })
const [folder, file] = positionals
const ranker = await openRanker({ model: folder, device: 'cpu', threads: values.threads && Number(values.threads) })
const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
const pairs = lines.map((line) => ranker.joined(JSON.parse(line).input_ids))
// Compiles the programs
await ranker.scores(pairs.slice(0, 2))
const [before, started] = [process.cpuUsage(), performance.now()]
const [first] = await ranker.scores(pairs)
const { user, system } = process.cpuUsage(before)
const tokens = pairs.reduce((n, { ids }) => n + ids.length, 0)
console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6, tokens, first }))
await ranker.close()
