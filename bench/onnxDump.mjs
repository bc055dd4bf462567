/** Writes every program that ONNX Runtime loads to the folder ONNX_DUMP, named by its hash. Preloaded with `node --import`, also into the engine's worker. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const { InferenceSession } = createRequire(import.meta.url)('onnxruntime-node')
const create = InferenceSession.create
InferenceSession.create = function (bytes, ...options) {
  writeFileSync(join(process.env.ONNX_DUMP, `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.onnx`), bytes)
  return create.call(this, bytes, ...options)
}
