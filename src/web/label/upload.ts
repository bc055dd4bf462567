/** Sends a file to the studio's server. */
import type { ApiError } from '../../studio/api.ts'
import { ApiFault } from '../api.ts'

/** @returns the name under which an import finds it. Throws ApiFaults. */
export const upload = async (file: File): Promise<string> => {
  const response = await fetch(`/api/uploads/${encodeURIComponent(file.name)}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: file,
  }).catch(() => {
    throw new ApiFault(0, 'the studio does not answer; is attune studio still running?')
  })
  const body = await response.json().catch(() => undefined)
  if (!response.ok)
    throw new ApiFault(response.status, (body as ApiError | undefined)?.error?.message ?? `status ${response.status}`)
  return (body as { upload: string }).upload
}
