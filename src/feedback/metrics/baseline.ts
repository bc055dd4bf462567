/** A file of baselines for BERTScore, as bert-score's own: a header LAYER,P,R,F and a line for each layer. */
import { badInput } from '../../util/fault.ts'
import { textFile } from '../../util/files.node.ts'
import type { BertScore } from './bertScore.ts'

/** @throws Fault bad-file where the layer has no line, or one that is not of numbers below 1 */
export const readBaseline = async (file: string, layer: number): Promise<BertScore> => {
  const lines = (await textFile(file)).split(/\r?\n/).map((line) => line.split(/[,\t]/))
  const line = lines.find(([name]) => name.trim() === String(layer))
  if (!line) throw badInput('bad-file', `has no line of layer ${layer}; it needs LAYER,P,R,F`, { file })
  const [precision, recall, f] = line.slice(1).map(Number)
  if (![precision, recall, f].every((x) => x < 1))
    throw badInput('bad-file', `must hold three numbers below 1 for layer ${layer}: P, R, F`, { file })
  return { precision, recall, f }
}
