/** How good a model is on held-out sums: the loss of the right completions, and how many it completes exactly. */
import { encodePrompt, unpairedExample } from '../../data/examples.ts'
import { completions } from '../../generate/completions.ts'
import { endIds, generate } from '../../generate/generate.ts'
import { openModel } from '../../passes/open.node.ts'
import { readTokenStats } from '../../passes/tokenStats.ts'
import { wilson } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import { assert } from '../../util/fault.ts'
import { maxNewTokens } from '../completePrompts.ts'
import type { Grade } from './cells.ts'
import type { Row } from './task.ts'

const batchSize = 256

/** @returns a grade for each list of rows. Throws the signal's reason when it aborts. */
export const gradeModel = async (
  folder: string,
  lists: readonly (readonly Row[])[],
  signal: AbortSignal,
): Promise<Grade[]> => {
  const { model, tokenizer, generationConfig, close } = await openModel({ model: folder, threads: 1 })
  try {
    assert(tokenizer, 'a model of the labs has a tokenizer')
    const eosIds = endIds(model.config.raw, generationConfig, tokenizer.eosId)
    const grades: Grade[] = []
    for (const rows of lists) {
      const trees = rows.map((row) => {
        const example = unpairedExample(
          tokenizer,
          { kind: 'unpaired', ...row, label: true },
          { maxLength: 256 },
          () => {},
        )
        assert(typeof example !== 'string', 'a sum has a completion')
        return { trunk: example.prompt, branches: [example.completion] }
      })
      const { logps } = await readTokenStats(model, trees, ['logps'])
      signal.throwIfAborted()
      const prompts = rows.map(({ prompt }) => encodePrompt(tokenizer, prompt))
      let right = 0
      const pieces = generate(model, tokenizer, prompts, { temperature: 0, maxNewTokens, batchSize, seed: 0, eosIds })
      for await (const { row, text } of completions(pieces)) {
        signal.throwIfAborted()
        if (text === rows[row].completion) right++
      }
      grades.push({ loss: -mean(logps.flatMap(({ branches }) => branches[0])), exact: wilson(right, rows.length) })
    }
    return grades
  } finally {
    await close()
  }
}
