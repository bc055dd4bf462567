/** `attune export`: a model as GGUF for llama.cpp, or as ONNX for transformers.js. */
import { z } from 'zod'
import { convertToGguf, convertToOnnx, type GgufSettings } from '../../publish/convertModel.ts'
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

export default command({
  summary: 'Convert a model for llama.cpp (--gguf) or transformers.js (--onnx)',
  example: 'export --gguf Q8_0 --model HuggingFaceTB/SmolLM2-135M --output SmolLM2-135M.gguf',
  schema,
  async run(options, { out }) {
    const { model, adapter, gguf, onnx, output } = options
    if ((gguf !== undefined) === onnx) throw badInput('bad-flag', 'give one of --gguf TYPE and --onnx')
    const {
      base,
      adapter: merged,
      ...facts
    } = gguf
      ? await toGguf({ model, adapter, output, type: gguf }, out)
      : { type: 'onnx', ...(await convertToOnnx({ model, adapter, output })) }
    if (out.json) await out.jsonLine({ output, model: base, adapter: merged, ...facts })
    else await out.text(`${output}: ${base} as ${facts.type}, ${fileSize(facts.bytes)}`)
  },
})

const toGguf = async (settings: GgufSettings, out: Output) => {
  const { shortened, unplacedEos, ...report } = await convertToGguf(settings)
  if (unplacedEos.length)
    out.screen.write(
      `note: the model has more end tokens than a GGUF file can name; llama.cpp will not stop at ${unplacedEos.join(', ')}\n`,
    )
  if (shortened !== undefined)
    out.screen.write(
      `note: llama.cpp has no sliding window for this model; the context of the file is ${shortened} tokens, for which the results are the same\n`,
    )
  return { type: settings.type, ...report, ...(unplacedEos.length && { unplaced_eos: unplacedEos }) }
}
