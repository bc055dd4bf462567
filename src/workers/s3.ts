/**
 * The exchange in an S3-compatible store: RUN/content/HASH and RUN/results/SHARD below a prefix of a bucket. Keys and region come from where
 * AWS's own tools find them (AWS_ACCESS_KEY_ID, AWS_REGION, ...), another store's address from AWS_ENDPOINT_URL_S3.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { badInput } from '../util/fault.ts'
import type { Content, Exchange, ExchangeClient } from './exchange.ts'
import { checked, isGone, writeChecked } from './fetching.ts'

const parts = (address: string): { bucket: string; prefix: string } => {
  const found = /^s3:\/\/([^/]+)(?:\/(.*?))?\/?$/.exec(address)
  if (!found) throw badInput('bad-flag', `${address} is no s3://BUCKET/PREFIX`, { flag: '--workers-files' })
  return { bucket: found[1], prefix: found[2] ? `${found[2]}/` : '' }
}

const open = async (address: string) => {
  const { bucket, prefix } = parts(address)
  const sdk = await import('@aws-sdk/client-s3').catch(() => {
    throw badInput(
      'bad-flag',
      's3:// needs the package @aws-sdk/client-s3, which is not installed with attune: npm install @aws-sdk/client-s3 --ignore-scripts',
      { flag: '--workers-files' },
    )
  })
  // Other stores have the bucket in the path
  const client: S3Client = new sdk.S3Client({ forcePathStyle: process.env.AWS_ENDPOINT_URL_S3 !== undefined })
  const at = (kind: 'content' | 'results', name: string) => ({ Bucket: bucket, Key: `${prefix}${kind}/${name}` })
  return { sdk, client, bucket, at }
}

const isMissing = (error: unknown) => /^(NoSuchKey|NotFound)$/.test((error as Error).name)

/** @param run its own part of the bucket, which is removed at the end; what a killed run leaves there may be deleted */
export const s3Exchange = async (place: string, run: string): Promise<Exchange> => {
  const address = `${place.replace(/\/$/, '')}/${run}`
  const { sdk, client, bucket, at } = await open(address)
  const offered = new Set<string>()
  const bytes = { sent: 0, received: 0 }
  const remove = (kind: 'content' | 'results', name: string) => client.send(new sdk.DeleteObjectCommand(at(kind, name)))
  try {
    await client.send(new sdk.HeadBucketCommand({ Bucket: bucket }))
  } catch (error) {
    throw badInput('bad-flag', `${place} cannot be used (${(error as Error).name}); look at the bucket and your keys`, {
      flag: '--workers-files',
    })
  }
  return {
    address,
    lookEvery: 1000,
    bytes,
    async offer(hash: string, content: Content) {
      const size = content instanceof Uint8Array ? content.length : (await stat(content.path)).size
      const Body = content instanceof Uint8Array ? content : createReadStream(content.path)
      await client.send(new sdk.PutObjectCommand({ ...at('content', hash), Body, ContentLength: size }))
      offered.add(hash)
      bytes.sent += size
    },
    async withdraw(hash) {
      offered.delete(hash)
      await remove('content', hash)
    },
    await: () => {},
    async result(shard) {
      try {
        const { Body } = await client.send(new sdk.GetObjectCommand(at('results', shard)))
        const sealed = await Body!.transformToByteArray()
        bytes.received += sealed.length
        return sealed
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    async forget(shards) {
      for (const shard of shards) await remove('results', shard)
    },
    onResult: () => {},
    async close() {
      for (const hash of offered) await remove('content', hash)
      client.destroy()
    },
  }
}

export const s3Client = async (address: string): Promise<ExchangeClient> => {
  const { sdk, client, at } = await open(address)
  const bodyOf = async (hash: string) => {
    const found = await client.send(new sdk.GetObjectCommand(at('content', hash))).catch((error) => {
      throw isMissing(error) ? isGone(hash) : error
    })
    return found.Body!
  }
  return {
    fetch: async (hash, path) => writeChecked((await bodyOf(hash)) as Readable, hash, path),
    read: async (hash) => checked(await (await bodyOf(hash)).transformToByteArray(), hash),
    async send(shard, sealed) {
      try {
        await client.send(new sdk.HeadObjectCommand(at('content', shard)))
      } catch (error) {
        // The run has ended, or has the result already
        if (isMissing(error)) return false
        throw error
      }
      await client.send(
        new sdk.PutObjectCommand({ ...at('results', shard), Body: sealed, ContentLength: sealed.length }),
      )
      return true
    },
  }
}
