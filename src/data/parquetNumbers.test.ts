import { expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { fileSource } from '../util/files.node.ts'
import { stringify } from '../util/written.ts'
import { parquetRecords } from './parquet.ts'

// Written by pyarrow: a double, a float, an int64 beyond 2^53, an int32 and a list of doubles inside a tool call
it('numbers inside of messages keep what Python would print of them', async () => {
  const records = []
  for await (const batch of parquetRecords(await fileSource(fixture('data/tool-numbers.parquet'))))
    records.push(...batch)
  const [, response] = (records[0].value as { messages: { tool_calls: { function: { arguments: object } }[] }[] })
    .messages
  const { arguments: given } = response.tool_calls[0].function
  expect(stringify(given)).toBe('{"x":1.0,"y":2.5,"n":1234567890123456789,"i":3,"l":[2.5,1.0,-0.0,1e+20]}')
  expect((given as { n: number }).n).toBe(1234567890123456800)
})
