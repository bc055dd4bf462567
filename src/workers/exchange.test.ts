import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { openS3Stub } from '../../test/support/s3Stub.ts'
import { folderClient, folderExchange } from './folder.ts'
import { s3Client, s3Exchange } from './s3.ts'
import { sha256 } from './seal.ts'

const bytes = new Uint8Array(10)
const hash = sha256(bytes).toString('hex')

it('a folder and a store take a result while the run waits for it, and no late one', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'attune-exchange-'))
  const store = await openS3Stub('bucket')
  for (const [name, value] of Object.entries({
    ...{ AWS_ENDPOINT_URL_S3: store.url, AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
  }))
    vi.stubEnv(name, value)
  try {
    const folder = await folderExchange(dir, 'run')
    const s3 = await s3Exchange('s3://bucket', 'run')
    for (const [exchange, client] of [
      [folder, folderClient(folder.address)],
      [s3, await s3Client(s3.address)],
    ] as const) {
      await exchange.offer(hash, bytes)
      expect(await client.send(hash, bytes)).toBe(true)
      expect(await exchange.result(hash)).toHaveLength(10)
      await exchange.forget([hash])
      await exchange.withdraw(hash)
      expect(await client.send(hash, bytes)).toBe(false)
    }
    expect(readdirSync(join(dir, 'run/results'))).toEqual([])
    expect([...store.objects.keys()]).toEqual([])
  } finally {
    vi.unstubAllEnvs()
    await store.close()
    rmSync(dir, { recursive: true })
  }
})
