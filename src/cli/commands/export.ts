/** `attune export`: a model as GGUF for llama.cpp, or as ONNX for transformers.js. */
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { exportGguf } from '../../publish/exportGguf.ts'
import { exportOnnx } from '../../publish/exportOnnx.ts'
import { type MergedModel, openMerged } from '../../publish/mergedModel.ts'
import { refuseTaken } from '../../publish/modelFolder.ts'
import { badInput } from '../../util/fault.ts'
import { command } from '../command.ts'
import { bytes as fileSize } from '../format.ts'
import { modelFlag } from '../modelFlags.ts'
import type { Output } from '../output.ts'

const schema = z.object({
  model: modelFlag,
  adapter: z
    .string()
    .optional()
    .meta({ value: 'DIR' })
    .describe('a PEFT adapter to merge into it (default: that of the run)'),
  gguf: z
    .enum(['F32', 'F16', 'Q8_0', 'Q4_0'])
    .optional()
    .describe('write one file for llama.cpp, with weights of this type'),
  onnx: z.boolean().default(false).describe('write a folder for transformers.js, with weights in float32'),
  output: z.string().meta({ value: 'PATH' }).describe('the file or folder to write'),
})
type Options = z.output<typeof schema>

export default command({
  summary: 'Convert a model for llama.cpp (--gguf) or transformers.js (--onnx)',
  example: 'export --gguf Q8_0 --model HuggingFaceTB/SmolLM2-135M --output SmolLM2-135M.gguf',
  schema,
  async run(options, { out }) {
    const { model, adapter, gguf, onnx, output } = options
    if ((gguf !== undefined) === onnx) throw badInput('bad-flag', 'give one of --gguf TYPE and --onnx')
    if (onnx) await refuseTaken(output)
    else if (await stat(output).catch(() => undefined))
      throw badInput('taken', 'exists already; choose another --output', { file: output })
    const merged = await openMerged(model, adapter)
    const facts = gguf
      ? await toGguf(merged, gguf, output, out)
      : { type: 'onnx', ...(await exportOnnx(merged, output)) }
    if (out.json) await out.jsonLine({ output, model: merged.dir, adapter: merged.adapterDir, ...facts })
    else await out.text(`${output}: ${merged.dir} as ${facts.type}, ${fileSize(facts.bytes)}`)
  },
})

const toGguf = async (merged: MergedModel, type: NonNullable<Options['gguf']>, output: string, out: Output) => {
  const { shortened, unplacedEos, ...report } = await exportGguf(merged, type, output)
  if (unplacedEos.length)
    out.screen.write(
      `note: the model has more end tokens than a GGUF file can name; llama.cpp will not stop at ${unplacedEos.join(', ')}\n`,
    )
  if (shortened !== undefined)
    out.screen.write(
      `note: llama.cpp has no sliding window for this model; the context of the file is ${shortened} tokens, for which the results are the same\n`,
    )
  return { type, ...report, ...(unplacedEos.length && { unplaced_eos: unplacedEos }) }
}
