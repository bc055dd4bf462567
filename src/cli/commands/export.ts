/** A model for another engine: llama.cpp's GGUF, or an ONNX decoder for transformers.js. */
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { exportGguf } from '../../recipes/exportGguf.ts'
import { openMerged } from '../../recipes/merged.ts'
import { badInput } from '../../util/fault.ts'
import { command } from '../command.ts'
import { bytes as readable } from '../format.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run'),
  adapter: z
    .string()
    .optional()
    .meta({ value: 'DIR' })
    .describe('a PEFT adapter to merge in (default: that of the run)'),
  gguf: z.enum(['F32', 'F16', 'Q8_0', 'Q4_0']).describe('one file for llama.cpp with its weights in this type'),
  output: z.string().meta({ value: 'PATH' }).describe('the file to make'),
})

export default command({
  summary: 'Write a model for another engine',
  example: 'export --gguf Q8_0 --model HuggingFaceTB/SmolLM2-135M --output SmolLM2-135M.gguf',
  schema,
  async run({ model, adapter, gguf, output }, { out }) {
    if (await stat(output).catch(() => undefined))
      throw badInput('taken', 'is there already; choose another --output', { file: output })
    const merged = await openMerged(model, adapter)
    const { bytes, tensors, tokenizer, shortened } = await exportGguf(merged, gguf, output)
    if (shortened !== undefined)
      out.screen.write(
        `note: llama.cpp has no sliding window here: the file's context is ${shortened} tokens, where it is the same`,
      )
    if (out.json)
      await out.line({ output, type: gguf, model: merged.dir, adapter: merged.adapterDir, bytes, tensors, tokenizer })
    else await out.text(`${output}: ${merged.dir} as ${gguf}, ${readable(bytes)}`)
  },
})
