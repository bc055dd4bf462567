/** The recurrence of the delta rule in ONNX: a Scan, whose body makes the next state of one chunk. */
import { type Emitter, type LowerRule, microsoft, type Node, type Port, type Subgraph } from './emitter.ts'

const node = (op: string, inputs: string[], output: string, more: Partial<Node> = {}): Node => ({
  op,
  inputs,
  outputs: [output],
  attributes: {},
  domain: '',
  ...more,
})

/** d y - A' (B y) + C */
const body = (port: (name: string, input: number) => Port): Subgraph => {
  const state = port('scan y', 0)
  return {
    nodes: [
      node('MatMul', ['scan B', 'scan y'], 'scan read'),
      node('FusedMatMul', ['scan A', 'scan read'], 'scan removed', { attributes: { transA: 1 }, domain: microsoft }),
      node('Mul', ['scan d', 'scan y'], 'scan decayed'),
      node('Sub', ['scan decayed', 'scan removed'], 'scan left'),
      node('Add', ['scan left', 'scan C'], 'scan next'),
      node('Identity', ['scan next'], 'scan made'),
    ],
    inputs: [state, port('scan d', 1), port('scan A', 2), port('scan B', 3), port('scan C', 0)],
    outputs: [
      { ...state, name: 'scan next' },
      { ...state, name: 'scan made' },
    ],
  }
}

const rows = (e: Emitter, x: string, start: string, end: string) =>
  e.emit('Slice', [x, start, end, e.constant([0], [1], 'i64')])

export const deltaScan: LowerRule<'deltaScan'> = (e, t, [updates, decay, a, b]) => {
  const { reverse } = t.params
  const [zero, one, n, all] = [[0], [1], [t.inputs[1].shape[0]], [t.shape[0]]].map(e.shape)
  const start = reverse ? rows(e, updates, n, all) : rows(e, updates, zero, one)
  const others = reverse ? rows(e, updates, zero, n) : rows(e, updates, one, all)
  const first = e.emit('Squeeze', [start, e.constant([0], [1], 'i64')])
  const port = (name: string, input: number): Port => ({ name, shape: t.inputs[input].shape.slice(1), dtype: 'f32' })
  const back = reverse ? 1 : 0
  const [, states] = e.emitMany(
    'Scan',
    [first, decay, a, b, others],
    {
      body: { graph: body(port) },
      num_scan_inputs: 4,
      scan_input_directions: [back, back, back, back],
      scan_output_directions: [back],
    },
    2,
  )
  return e.emit('Concat', reverse ? [states, start] : [start, states], { axis: 0 })
}
