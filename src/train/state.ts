/** Arenas to bytes and back: what a checkpoint holds beside a few numbers. */
import type { Backend, Handle } from '../runtime/backend.ts'
import type { ByteSource } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import type { Arena } from './arena.ts'

/** Elements that are copied at once: 64 MiB. */
const piece = 2 ** 24

/** Every array of the arenas by file name. */
const arrays = (arenas: readonly Arena[]): [string, Handle][] =>
  arenas.flatMap((arena, i) =>
    Object.entries({ params: arena.params, ...arena.state }).map(([name, handle]): [string, Handle] => [
      `arena${i}.${name}`,
      handle,
    ]),
  )

export const stateBytes = (arenas: readonly Arena[]): number =>
  arrays(arenas).reduce((bytes, [, handle]) => bytes + 4 * handle.shape[0], 0)

/** Files by name, each read from the engine as it is written. */
export const stateFiles = (backend: Backend, arenas: readonly Arena[]): Record<string, AsyncIterable<Uint8Array>> =>
  Object.fromEntries(arrays(arenas).map(([name, handle]) => [name, bytesOf(backend, handle)]))

async function* bytesOf(backend: Backend, handle: Handle): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < handle.shape[0]; start += piece) {
    const values = await backend.read(handle, start, Math.min(piece, handle.shape[0] - start))
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  }
}

/** Writes a checkpoint's files into the arenas. */
export const restoreState = async (
  backend: Backend,
  arenas: readonly Arena[],
  file: (name: string) => Promise<ByteSource>,
) => {
  for (const [name, handle] of arrays(arenas)) {
    const source = await file(name)
    if (source.size !== 4 * handle.shape[0])
      throw badInput(
        'bad-checkpoint',
        `holds ${source.size} bytes, but this model and method train ${4 * handle.shape[0]}`,
        { file: source.name },
      )
    for (let start = 0; start < handle.shape[0]; start += piece) {
      const count = Math.min(piece, handle.shape[0] - start)
      const bytes = await source.read(4 * start, 4 * (start + count))
      backend.write(handle, new Float32Array(bytes.slice().buffer), start)
    }
  }
}
