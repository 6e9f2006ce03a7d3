-- A ledger as lua-veo of commit 06f5e79 (schema 3) left it: made by running that commit against its simulator, killed
-- while its last order was under way. Only names of the machine were replaced.
CREATE TABLE veo_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO veo_meta VALUES('schema','3');
CREATE TABLE veo_tasks (
      ref TEXT PRIMARY KEY,
      state TEXT NOT NULL,
      operation TEXT NOT NULL,
      api TEXT NOT NULL,
      body TEXT NOT NULL,
      hash TEXT NOT NULL,
      intent_key TEXT,
      task_id TEXT,
      price DOUBLE PRECISION,
      day DOUBLE PRECISION NOT NULL,
      client TEXT NOT NULL,
      owner TEXT,
      claim TEXT,
      lease DOUBLE PRECISION NOT NULL,
      sending DOUBLE PRECISION NOT NULL,
      created DOUBLE PRECISION NOT NULL,
      updated DOUBLE PRECISION NOT NULL,
      result TEXT,
      error TEXT,
      evidence TEXT,
      path TEXT);
INSERT INTO veo_tasks VALUES('7f4811141fd2f39f94fb98e4','accepted','extend','veo','{"prompt":"open","taskId":"veo_task_abcdef123456"}','3844f4fa9c9e41e2',NULL,'5c42fafc55092ac91ae40d4f3bebb6f2',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c','studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,1795995991.912012577,0.0,1795995901.8929824829,1795995901.912012577,NULL,NULL,NULL,NULL);
INSERT INTO veo_tasks VALUES('42e88e2d1e7f003e236a938d','accepted','extend','veo','{"callBackUrl":"https://example.com/hook?a=1#f","model":"fast","prompt":"keyed α \"quoted\"\n\t\\ é","seeds":12345,"taskId":"veo_task_abcdef123456","watermark":"w"}','a4ea8c399dfeb1c0','keyed','f0f6096550193150b2ccfe8f46f94aee',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c','studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,1795995991.9279851913,0.0,1795995901.9219903945,1795995901.9279851913,NULL,NULL,NULL,NULL);
INSERT INTO veo_tasks VALUES('f21091e62ce25d805799d8ed','accepted','extend','jobs','{"input":{"prompt":"jobs","task_id":"veo_task_abcdef123456"},"model":"veo/extend"}','3e74191f63ce45aa','jobs','93ab95d22889aa37f2ff4d976391d53c',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:c313498b7b1f','studio/5a17c0de-9b3f:4047:1654002:c313498b7b1f',NULL,1795995991.948987007,0.0,1795995901.9460096359,1795995901.948987007,NULL,NULL,NULL,NULL);
INSERT INTO veo_tasks VALUES('d9208eede4c5335c908ba949','uncertain','extend','veo','{"prompt":"uncertain","taskId":"veo_task_abcdef123456"}','01f513f917035778','uncertain',NULL,60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,NULL,0.0,0.0,1795995901.9649996757,1795995901.9689826965,NULL,'{"cause":"network","code":"uncertain","curl_code":52,"message":"extend: no answer, and the request may have arrived: Empty reply from server","sent":"maybe"}',NULL,NULL);
INSERT INTO veo_tasks VALUES('121b9de18d822047535150c0','saved','extend','veo','{"prompt":"saved","taskId":"veo_task_abcdef123456"}','261b904b0530089a','saved','379cafb7a5267e49060a34cfaf9fdc67',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,NULL,0.0,0.0,1795995901.9790008067,1795995902.2420048714,'{"completeTime":1795995901030,"createTime":1795995901000,"fullResultUrls":["http://127.0.0.1:8000/media/task/379cafb7a5267e49060a34cfaf9fdc67/whole.mp4?Expires=1797205501&Signature=603f1ca8dda2"],"resolution":"720p","resultUrls":["http://127.0.0.1:8000/media/task/379cafb7a5267e49060a34cfaf9fdc67/part.mp4?Expires=1797205501&Signature=603f1ca8dda2"],"seeds":[12203],"state":"succeeded","taskId":"379cafb7a5267e49060a34cfaf9fdc67","video_url":"http://127.0.0.1:8000/media/task/379cafb7a5267e49060a34cfaf9fdc67/whole.mp4?Expires=1797205501&Signature=603f1ca8dda2"}',NULL,NULL,'renders/saved.mp4');
INSERT INTO veo_tasks VALUES('da7121d6b0c714d716b08841','done','extend','veo','{"prompt":"done","taskId":"veo_task_abcdef123456"}','da2825b7b2776bfd',NULL,'03b308e617baebe895cf786e62ec2e65',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c','studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,1795995992.2790193557,0.0,1795995902.2539944648,1795995902.4119899272,'{"completeTime":1795995902030,"createTime":1795995902000,"fullResultUrls":["http://127.0.0.1:8000/media/task/03b308e617baebe895cf786e62ec2e65/whole.mp4?Expires=1797205502&Signature=96f5b424525b"],"resolution":"720p","resultUrls":["http://127.0.0.1:8000/media/task/03b308e617baebe895cf786e62ec2e65/part.mp4?Expires=1797205502&Signature=96f5b424525b"],"seeds":[26218],"state":"succeeded","taskId":"03b308e617baebe895cf786e62ec2e65","video_url":"http://127.0.0.1:8000/media/task/03b308e617baebe895cf786e62ec2e65/whole.mp4?Expires=1797205502&Signature=96f5b424525b"}',NULL,NULL,NULL);
INSERT INTO veo_tasks VALUES('ded877264ed3044e5488d3e8','failed','extend','veo','{"prompt":"failed","taskId":"veo_task_abcdef123456"}','b0d3a7969f884885','failed','8f6ca78ed9c23d9578cfc8b8f7424fd3',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c','studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,1795995992.4170188904,0.0,1795995902.4150073527,1795995902.5130152702,'{"completeTime":1795995902030,"createTime":1795995902000,"errorCode":501,"errorMessage":"no luck","state":"failed","taskId":"8f6ca78ed9c23d9578cfc8b8f7424fd3"}','{"code":"failed","message":"task 8f6ca78ed9c23d9578cfc8b8f7424fd3 failed: no luck","service_code":501}',NULL,NULL);
INSERT INTO veo_tasks VALUES('93a1aa9fda4a710072dc1a82','refused','extend','veo','{"prompt":"refused","taskId":"veo_task_abcdef123456"}','017ae28f31d1b37a','refused',NULL,60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,NULL,0.0,0.0,1795995902.5159926414,1795995902.519010067,NULL,'{"code":"insufficient_credits","http_status":200,"message":"extend: not enough credits (code 402: \"Credits insufficient\")","sent":"yes","service_code":402}',NULL,NULL);
INSERT INTO veo_tasks VALUES('b0fcc21efa483d5fad33a5f0','done','extend','veo','{"prompt":"upgraded","taskId":"veo_task_abcdef123456"}','360271649c58ebd1',NULL,'35aa11ee176679ecaa9bbf678d0f3982',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c','studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,1795995992.5229930877,0.0,1795995902.5209813117,1795995902.6269958019,'{"completeTime":1795995902030,"createTime":1795995902000,"fullResultUrls":["http://127.0.0.1:8000/media/task/35aa11ee176679ecaa9bbf678d0f3982/whole.mp4?Expires=1797205502&Signature=b91f589a24b3"],"resolution":"720p","resultUrls":["http://127.0.0.1:8000/media/task/35aa11ee176679ecaa9bbf678d0f3982/part.mp4?Expires=1797205502&Signature=b91f589a24b3"],"seeds":[33117],"state":"succeeded","taskId":"35aa11ee176679ecaa9bbf678d0f3982","video_url":"http://127.0.0.1:8000/media/task/35aa11ee176679ecaa9bbf678d0f3982/whole.mp4?Expires=1797205502&Signature=b91f589a24b3"}',NULL,NULL,NULL);
INSERT INTO veo_tasks VALUES('f18dae6ab1886e8fe4fa7eb7','saved','extend','veo','{"prompt":"one","taskId":"veo_task_abcdef123456"}','31bad87edcf02271','chain:film/1','da3d220d8009f2a7bea9fa1b74df31c6',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,NULL,0.0,0.0,1795995902.7070193291,1795995902.7830197811,'{"completeTime":1795995902030,"createTime":1795995902000,"fullResultUrls":["http://127.0.0.1:8000/media/task/da3d220d8009f2a7bea9fa1b74df31c6/whole.mp4?Expires=1797205502&Signature=250a353d4412"],"resolution":"720p","resultUrls":["http://127.0.0.1:8000/media/task/da3d220d8009f2a7bea9fa1b74df31c6/part.mp4?Expires=1797205502&Signature=250a353d4412"],"seeds":[19260],"state":"succeeded","taskId":"da3d220d8009f2a7bea9fa1b74df31c6","video_url":"http://127.0.0.1:8000/media/task/da3d220d8009f2a7bea9fa1b74df31c6/whole.mp4?Expires=1797205502&Signature=250a353d4412"}',NULL,NULL,NULL);
INSERT INTO veo_tasks VALUES('049254bda3d123f99961e4eb','saved','extend','veo','{"prompt":"two","taskId":"da3d220d8009f2a7bea9fa1b74df31c6"}','010acdeef3368596','chain:film/2','055f5bc18c42ac55dcc6306db3130114',60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,NULL,0.0,0.0,1795995902.7940034866,1795995903.0790150165,'{"completeTime":1795995902030,"createTime":1795995902000,"fullResultUrls":["http://127.0.0.1:8000/media/task/055f5bc18c42ac55dcc6306db3130114/whole.mp4?Expires=1797205502&Signature=fd63d66fd100"],"resolution":"720p","resultUrls":["http://127.0.0.1:8000/media/task/055f5bc18c42ac55dcc6306db3130114/part.mp4?Expires=1797205502&Signature=fd63d66fd100"],"seeds":[99298],"state":"succeeded","taskId":"055f5bc18c42ac55dcc6306db3130114","video_url":"http://127.0.0.1:8000/media/task/055f5bc18c42ac55dcc6306db3130114/whole.mp4?Expires=1797205502&Signature=fd63d66fd100"}',NULL,NULL,'renders/film.mp4');
INSERT INTO veo_tasks VALUES('ff660a30b496f111c1688cdb','intent','extend','veo','{"prompt":"killed","taskId":"veo_task_abcdef123456"}','2d67206471c18e51','killed',NULL,60.0,20786.0,'studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c','studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',NULL,1795995993.1200125217,1.0,1795995903.1200125217,1795995903.1200125217,NULL,NULL,NULL,NULL);
CREATE TABLE veo_slots (at DOUBLE PRECISION NOT NULL);
INSERT INTO veo_slots VALUES(1795995901.8929824829);
INSERT INTO veo_slots VALUES(1795995901.9219903945);
INSERT INTO veo_slots VALUES(1795995901.9460096359);
INSERT INTO veo_slots VALUES(1795995901.9649996757);
INSERT INTO veo_slots VALUES(1795995901.9790008067);
INSERT INTO veo_slots VALUES(1795995902.2539944648);
INSERT INTO veo_slots VALUES(1795995902.4150073527);
INSERT INTO veo_slots VALUES(1795995902.5159926414);
INSERT INTO veo_slots VALUES(1795995902.5209813117);
INSERT INTO veo_slots VALUES(1795995902.7070193291);
INSERT INTO veo_slots VALUES(1795995902.7940034866);
INSERT INTO veo_slots VALUES(1795995903.1200125217);
CREATE TABLE veo_upgrades (task_id TEXT PRIMARY KEY, what TEXT NOT NULL, at DOUBLE PRECISION NOT NULL);
INSERT INTO veo_upgrades VALUES('35aa11ee176679ecaa9bbf678d0f3982','1080P',1795995902.6319847107);
CREATE TABLE veo_charges (
      ref TEXT NOT NULL,
      client TEXT NOT NULL,
      price DOUBLE PRECISION NOT NULL,
      day DOUBLE PRECISION NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      PRIMARY KEY (ref, client));
INSERT INTO veo_charges VALUES('get_1080p 35aa11ee176679ecaa9bbf678d0f3982 0','studio/5a17c0de-9b3f:4047:1654002:1b20663f5a2c',5.0,20786.0,1795995902.6300132274);
CREATE UNIQUE INDEX veo_tasks_key ON veo_tasks (intent_key)
      WHERE intent_key IS NOT NULL AND state NOT IN ('refused', 'lost');
CREATE INDEX veo_tasks_hash ON veo_tasks (hash);
CREATE INDEX veo_tasks_task_id ON veo_tasks (task_id);
CREATE INDEX veo_tasks_state ON veo_tasks (state, lease);
CREATE INDEX veo_tasks_day ON veo_tasks (day);
CREATE INDEX veo_charges_day ON veo_charges (day);
