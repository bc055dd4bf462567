/** Folders that the studio looks into for runs, models and reports. */

/** Not hidden ones, nor those of packages and of tests: what lies there is nobody's own work. */
export const isLookedInto = (name: string): boolean => !/^\.|^(?:node_modules|test|fixtures)$/.test(name)
