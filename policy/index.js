import { PolicyPack } from "@pulumi/policy";
import { POLICIES } from "./policies.js";

new PolicyPack("vllm-ascend", {
  policies: POLICIES.map(({ name, description, level, settings, violations }) => ({
    name,
    description,
    enforcementLevel: level,
    ...(settings === undefined ? {} : { configSchema: { properties: settings } }),
    validateResource: (resource, report) => {
      const { type, props } = resource;
      for (const text of violations({ type, props, settings: resource.getConfig() })) report(text);
    },
  })),
});
