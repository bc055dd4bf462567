/** The programs that rows can be written for. */
export const exportTargets = ['label-studio', 'argilla', 'trl', 'llama-factory'] as const
export type ExportTarget = (typeof exportTargets)[number]
