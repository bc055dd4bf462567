/** What a worker sends back, packed and sealed: of which job (SHA-256), and what its shards came to or why they could not be computed. */
export type JobAnswer = { of: string } & ({ values: unknown[] } | { error: string })
