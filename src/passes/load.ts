/** Puts a checkpoint's weights on a backend. */
import type { StoredTensor } from '../checkpoint/stored.ts'
import type { Backend, Handle } from '../runtime/backend.ts'

/** @param onTensor called with the number of tensors done */
export const putWeights = async (
  backend: Backend,
  params: ReadonlyMap<string, StoredTensor>,
  onTensor: (done: number) => void = () => {},
): Promise<Map<string, Handle>> => {
  const handles = new Map<string, Handle>()
  for (const [name, tensor] of params) {
    handles.set(name, backend.put(await tensor.floats(), tensor.shape))
    onTensor(handles.size)
  }
  return handles
}
